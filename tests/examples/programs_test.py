#!/usr/bin/env python3
"""Runs training programs for a few steps each: they learn nothing yet, but go all the way.   programs_test.py PROGRAM..."""

import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from images import write_data

complaints = []


def run(program, folder, *options):
    found = subprocess.run([program, *options], cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    return found.returncode, found.stdout, found.stderr


def require(good, what):
    if not good:
        complaints.append(what)


def compare(program, folder, *data):
    """A program that trains once for each of several batch sizes, and draws what it found."""
    name = os.path.basename(program)
    options = ["--train-images", "101", "--epochs", "2", "--batch-sizes", "2,20,2", *data]
    code, out, err = run(program, folder, *options, "--json", "--threads", "1", "--out", f"{name}/plots")
    if code != 0:
        complaints.append(f"{name}: exit code {code}: {out}{err}")
        return
    summary = json.loads(out)
    require(err.count("epoch 2/2") == 4 and "group norm, batch size 20\n" in err, f"{name}: progress {err!r}")
    require([(each["norm"], each["batch_size"]) for each in summary["runs"]]
            == [(norm, size) for norm in ["batch norm", "group norm"] for size in [20, 2]], f"{name}: {summary}")
    require(all(0 <= each["test_error"] <= 100 for each in summary["runs"]), f"{name}: {summary}")
    require(summary["train_images"] == 101 and len(summary["claims"]) == 3
            and summary["finding"] == ("shows" if all(each["holds"] for each in summary["claims"]) else "does not show"), f"{name}: {summary}")
    picture = (folder / name / "plots/batch_size.svg").read_text()
    shapes = xml.etree.ElementTree.fromstring(picture)
    titles = [title.text for title in shapes.iter("{http://www.w3.org/2000/svg}title")]
    require(titles == [f"{each['norm']}: {each['batch_size']}, {each['test_error']:.6g}" for each in summary["runs"]],
            f"{name}: the plot has {titles}")

    code, out, err = run(program, folder, *options, "--quiet", "--threads", "2", "--out", f"{name}/again")
    require(code == 0 and err == "" and "101 training images" in out and f"plot {name}/again/batch_size.svg\n" in out
            and f"The paper's finding {summary['finding']} here.\n" in out, f"{name}: {code} {out} {err}")
    require((folder / name / "again/batch_size.svg").read_text() == picture, f"{name}: another picture with 2 threads")
    code, out, err = run(program, folder, *options, "--quiet", "--lr", "1000", "--weight-decay", "1000", "--out", "")
    require(code == 5 and "the paper's finding cannot be judged" in out and "plot" not in out, f"{name}: {code} {out} {err}")
    for more, wanted, text in [(["--batch-sizes", "8,8"], 2, "one size"), (["--batch-sizes", "8,x"], 2, "--batch-sizes"),
                               (["--train-images", "601"], 2, "--train-images 601 is more than the 600 there are"),
                               (["--batch-size", "8"], 2, "--batch-size"), (["--train-images", "100", "--out", "data/train-labels-idx1-ubyte"], 4, "cannot be written")]:
        code, out, err = run(program, folder, "--quiet", *data, *more)
        require(code == wanted and text in err and err.startswith("tapestry: error: ") and out == "", f"{more}: {code} {out} {err}")


def check(program, folder):
    name = os.path.basename(program)
    usage = run(program, folder, "--help")[1]
    data = ["--data-dir", "data"] if "--data-dir" in usage else []
    if "--batch-sizes" in usage:
        compare(program, folder, *data)
        return
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

    code, out, err = run(program, folder, "--dry-run", "--batch-size", "8", "--quiet", "--profile", "--out", f"{name}/profiled", *data)
    files = [folder / name / "profiled" / each for each in ["profile.txt", "trace.json.gz", "roofline.svg"]]
    require(code == 0 and err == "" and all(f" {name}/profiled/{path.name}\n" in out for path in files), f"{name} --profile: {code} {out} {err}")
    table = files[0].read_text()
    require(table in out and ": 7 steps of " in table and "optimizer" in table and "loader" in table, f"{name} --profile: {table}")
    require(len(json.loads(gzip.open(files[1]).read())["traceEvents"]) > 50, f"{name} --profile: the trace")
    xml.etree.ElementTree.fromstring(files[2].read_text())
    code, out, err = run(program, folder, "--dry-run", "--quiet", "--profile", "--out", "", *data)
    require(code == 2 and "--profile needs a folder" in err and out == "", f"{name} --profile --out '': {code} {out} {err}")


with tempfile.TemporaryDirectory() as name:
    root = pathlib.Path(name)
    (root / "data").mkdir()
    write_data(root / "data")
    for path in sys.argv[1:]:
        check(os.path.abspath(path), root)
print("\n".join(complaints) or "all programs run")
sys.exit(1 if complaints else 0)
