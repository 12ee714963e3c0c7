"""What the tests of the house share: the files of the tree, and how a test ends."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ["kernels", "autodiff", "layers", "optim", "data", "io", "train", "tools", "examples", "tests", "bench"]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def sources(*folders):
    """All .h and .cc files below these folders (below all folders of the house unless given), sorted."""
    found = [ROOT / "tapestry.h"] if not folders and (ROOT / "tapestry.h").exists() else []
    for folder in folders or FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".h", ".cc")]
    return sorted(found)


def name(path):
    return path.relative_to(ROOT).as_posix()


def includes(path):
    """(own, header, line) of each #include: own when it is in quotes or names a file of the tree."""
    text = path.read_text()
    for match in INCLUDE.finditer(text):
        own = match[1] == '"' or (ROOT / match[2]).is_file()
        yield own, match[2], text.count("\n", 0, match.start()) + 1


def closure(header):
    """The header and all of the tree's headers that it includes, directly or not."""
    found, todo = set(), [header]
    while todo:
        one = todo.pop()
        if one not in found and (ROOT / one).is_file():
            found.add(one)
            todo += [target for own, target, _ in includes(ROOT / one) if own]
    return sorted(found)


def finish(complaints, summary):
    """Ends the program: the complaints, one a line, or the summary."""
    for complaint in complaints:
        print(complaint)
    print(f"{len(complaints)} complaints" if complaints else summary)
    sys.exit(1 if complaints else 0)
