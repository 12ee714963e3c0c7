#!/usr/bin/env python3
"""Prints the public headers, for meson to install: tapestry.h and what it includes of the tree, directly or not."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/house"))
import tree  # noqa: E402

print("\n".join(tree.closure("tapestry.h")))
