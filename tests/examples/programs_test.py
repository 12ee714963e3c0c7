#!/usr/bin/env python3
"""Runs training programs for a few steps each: they learn nothing yet, but go all the way.   programs_test.py PROGRAM..."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from images import write_data

complaints = []


def run(program, folder, *options):
    found = subprocess.run([program, *options], cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    return found.returncode, found.stdout, found.stderr


def check(program, folder):
    name = os.path.basename(program)
    data = ["--data-dir", "data"] if "--data-dir" in run(program, folder, "--help")[1] else []
    code, out, err = run(program, folder, "--dry-run", "--batch-size", "8", "--json", "--out", name, *data)
    if code != 0 or "epoch 1/1" not in err:
        complaints.append(f"{name}: exit code {code}: {out}{err}")
        return
    summary = json.loads(out)
    if summary["steps"] != 10 or not 0 <= summary["test_accuracy"] <= 1 or not 0 < summary["test_loss"] < 100:
        complaints.append(f"{name}: {summary}")
    if (folder / name / "weights.safetensors").stat().st_size < 1000:
        complaints.append(f"{name}: no weights")
    print(name, summary)


with tempfile.TemporaryDirectory() as name:
    root = pathlib.Path(name)
    (root / "data").mkdir()
    write_data(root / "data")
    for path in sys.argv[1:]:
        check(os.path.abspath(path), root)
print("\n".join(complaints) or "all programs run")
sys.exit(1 if complaints else 0)
