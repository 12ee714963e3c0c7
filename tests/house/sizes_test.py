#!/usr/bin/env python3
"""Files stay small: 400 lines is the end, and a file over 300 is named so that someone splits it."""

import tree

LIMIT, LARGE = 400, 300
files = tree.sources() + [path for folder in tree.FOLDERS for path in (tree.ROOT / folder).rglob("*.py")]
lines = {tree.name(path): len(path.read_text().splitlines()) for path in files}
for name, count in sorted(lines.items(), key=lambda item: -item[1]):
    if LARGE < count <= LIMIT:
        print(f"note: {name} has {count} lines and asks to be split by family")
middle = sorted(lines.values())[len(lines) // 2]
tree.finish([f"{name} has {count} lines, {LIMIT} is the limit" for name, count in lines.items() if count > LIMIT],
            f"{len(lines)} files, {middle} lines in the middle, {max(lines.values())} at most")
