#!/usr/bin/env python3
"""Prints the size of a program without its symbols, and fails where it is not below a limit.

size_test.py PROGRAM MEGABYTES
"""
import os
import subprocess
import sys
import tempfile

program, limit = sys.argv[1], float(sys.argv[2])
with tempfile.TemporaryDirectory() as folder:
    stripped = folder + "/stripped"
    subprocess.run(["strip", "-o", stripped, program], check=True)
    size = os.path.getsize(stripped) / 1e6
print(f"{size:.2f} MB")
sys.exit(0 if size < limit else f"not below {limit} MB")
