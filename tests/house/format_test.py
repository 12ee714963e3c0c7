#!/usr/bin/env python3
"""Every source file is as clang-format leaves it; skipped where clang-format 14 is not installed, for others
format otherwise."""

import shutil
import subprocess
import sys

import tree



def version(program):
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout


program = next((found for name in ["clang-format-14", "clang-format"] if (found := shutil.which(name)) and "version 14." in version(found)), None)
if not program:
    print("clang-format 14 is not installed; the format was not checked")
    sys.exit(77)
result = subprocess.run([program, "--dry-run", *map(str, tree.sources())], capture_output=True, text=True, check=False)
complaints = sorted({line.split(": warning")[0].removeprefix(f"{tree.ROOT}/").rsplit(":", 1)[0] + ": clang-format -i mends this"
                     for line in result.stderr.splitlines() if ": warning: " in line})
tree.finish(complaints, f"{len(tree.sources())} files are formatted")
