#!/usr/bin/env python3
"""Runs a training program as a user would: options, exit codes, one line an error, files, signals.

command_line_test.py PROGRAM VERSION
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from images import write_data

PROGRAM, VERSION = sys.argv[1:3]
complaints = []


def require(good, what):
    if not good:
        complaints.append(what)


def start(folder, *options, **more):
    command = [os.path.abspath(PROGRAM), "--data-dir", "data", *options]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def run(folder, *options, **more):
    process = start(folder, *options, **more)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def refusals(folder):
    for options, code, text in [
        (["--foo"], 2, "--foo"), (["extra"], 2, "extra"), (["--lr"], 2, "--lr"),
        *((["--batch-size", value], 2, f"--batch-size: '{value}' is not a whole number") for value in ["0", "-1", "1e99", "x", ""]),
        *((["--lr", value], 2, f"--lr: '{value}' is not a number") for value in ["nan", "inf", "-1", "abc", "1,5"]),
        (["--epochs", "99999999999999"], 2, "--epochs"), (["--epochs", "0"], 2, "--epochs"),
        (["--epochs", "1", "--epochs", "2"], 2, "--epochs"), (["--threads", "-3"], 2, "--threads"),
        (["--threads", "100000"], 2, "--threads"), (["--precision", "low"], 2, "--precision: low not in"),
        (["--dataset", "cats"], 2, "--dataset: cats not in"), (["--seed", "-1"], 2, "--seed"),
        (["--out", "data/train-images-idx3-ubyte"], 4, "cannot be written: "), (["--out", "/proc/none"], 4, "cannot be written: "),
        (["--save-model", "data"], 4, "data: cannot be written: it is a folder"),
        (["--optimizer", "sgd", "--lr", "1000", "--momentum", "0.99"], 5, "step "),
    ]:
        found, out, err = run(folder, "--quiet", *options)
        require(found == code, f"{options}: exit code {found}, expected {code}: {err}")
        require(err.startswith("tapestry: error: ") and err.count("\n") == 1 and text in err, f"{options}: stderr is {err!r}")
        require(out == "", f"{options}: stdout is {out!r}")
    found, _, err = run(folder, "--quiet", env={"PATH": "", "TAPESTRY_TARGET": "foo"})
    require(found == 4 and "foo" in err, f"TAPESTRY_TARGET=foo: exit code {found}: {err}")
    (folder / "data/train-labels-idx1-ubyte").rename(folder / "labels")
    found, _, err = run(folder, "--quiet")
    require(found == 3 and "has no train-labels-idx1-ubyte" in err, f"missing labels: exit code {found}: {err}")
    (folder / "labels").rename(folder / "data/train-labels-idx1-ubyte")


def results(folder):
    found, out, _ = run(folder, "--help")
    require(found == 0 and "--batch-size" in out, "--help")
    require(run(folder, "--version")[:2] == (0, f"tapestry {VERSION}\n"), "--version")

    found, out, err = run(folder, "--epochs", "3", "--batch-size", "50", "--out", "a", "--threads", "1", "--json")
    require(found == 0, f"a plain run: exit code {found}: {err}")
    require("epoch 3/3" in err and "\r" not in err, f"progress on a pipe: {err!r}")
    summary = json.loads(out)
    require(summary["test_accuracy"] > 0.9 and summary["steps"] == 36, f"summary {summary}")
    history = [json.loads(line) for line in (folder / "a/history.jsonl").read_text().splitlines()]
    require([entry["epoch"] for entry in history if entry["split"] == "test"] == [1, 2, 3], "history")
    require(set(history[0]) == {"step", "epoch", "split", "loss", "acc", "lr", "img_s", "wall_s"}, "history's fields")

    found, out, err = run(folder, "--epochs", "3", "--batch-size", "50", "--out", "b", "--threads", "3", "--quiet")
    require(found == 0 and err == "" and "test accuracy" in out and "b/weights.safetensors" in out, f"--quiet: {out} {err}")
    same = (folder / "a/weights.safetensors").read_bytes() == (folder / "b/weights.safetensors").read_bytes()
    require(same, "the weights differ between 1 and 3 threads")

    with open("/dev/full", "w", encoding="ascii") as full:
        process = subprocess.run([os.path.abspath(PROGRAM), "--data-dir", "data", "--dry-run", "--quiet"], cwd=folder,
                                 stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    require(process.returncode == 4 and "stdout: cannot be written" in process.stderr, "a full stdout")


def signals(folder):
    for number in [signal.SIGINT, signal.SIGTERM]:
        process = start(folder, "--epochs", "100000", "--quiet", "--out", f"stopped-{number}")
        history = folder / f"stopped-{number}/history.jsonl"
        for _ in range(600):  # until it trains
            if history.exists() and history.stat().st_size > 0:
                break
            time.sleep(0.1)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        require(process.returncode == 128 + number, f"signal {number}: exit code {process.returncode}: {err}")
        require((history.parent / "weights.safetensors").stat().st_size > 1000, f"signal {number}: no weights")


with tempfile.TemporaryDirectory() as name:
    root = pathlib.Path(name)
    (root / "data").mkdir()
    write_data(root / "data")
    refusals(root)
    results(root)
    signals(root)
print("\n".join(complaints) or "the command line is as it should be")
sys.exit(1 if complaints else 0)
