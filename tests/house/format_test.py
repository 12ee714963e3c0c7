#!/usr/bin/env python3
"""Every source file is as clang-format leaves it; skipped where clang-format 14 to 19 is not installed."""

import shutil
import subprocess
import sys

import tree

program = next((found for name in ["clang-format-14", "clang-format"] if (found := shutil.which(name))), None)
if not program:
    print("clang-format is not installed; the format was not checked")
    sys.exit(77)
result = subprocess.run([program, "--dry-run", *map(str, tree.sources())], capture_output=True, text=True, check=False)
complaints = sorted({line.split(": warning")[0].removeprefix(f"{tree.ROOT}/").rsplit(":", 1)[0] + ": clang-format -i mends this"
                     for line in result.stderr.splitlines() if ": warning: " in line})
tree.finish(complaints, f"{len(tree.sources())} files are formatted")
