#!/usr/bin/env python3
"""Runs the tapestry command as a user would: usage, exit codes, JSON, files, and each command of docs/profiling.md.

tapestry_test.py PROGRAM VERSION
"""

import gzip
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

PROGRAM, VERSION = os.path.abspath(sys.argv[1]), sys.argv[2]
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/profiling.md"
SHORT = ["--steps", "3", "--warmup", "1", "--batch-size", "8"]
complaints = []


def require(good, what):
    if not good:
        complaints.append(what)


def run(folder, *options, **environment):
    done = subprocess.run([PROGRAM, *options], cwd=folder, capture_output=True, text=True, timeout=240, check=False,
                          env=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


def refusals(folder):
    (folder / "broken.json").write_text('{"cpu": 1}')
    for options, code, text in [
        ([], 2, "subcommand"), (["--foo"], 2, "subcommand"), (["fly"], 2, "subcommand"), (["info", "--foo"], 2, "--foo"), (["info", "mlp"], 2, "mlp"),
        (["profile"], 2, "needs a model or --op"), (["profile", "mlp", "--op", "relu"], 2, "needs a model or --op"),
        (["profile", "--op", "fly"], 2, "--op: fly not in"), (["profile", "--op", "relu"], 2, "must have from 2 to 5 axes"),
        (["profile", "--op", "conv2d", "--shape", "2,8,4"], 2, "[2, 8, 4] must have 4 axes"),
        (["profile", "--op", "relu", "--shape", "2,0"], 2, "--shape: '0' is not a whole number"),
        (["profile", "--op", "relu", "--shape", "2,x"], 2, "--shape: 'x' is not a whole number"),
        (["profile", "--op", "relu", *["--shape", "1000000,1000000,1000000,1000000"]], 2, "2^46"),
        (["profile", "--op", "conv2d", "--shape", "2,8,8,4", "--groups", "3"], 2, "groups"),
        (["profile", "--op", "conv2d", "--shape", "2,8,8,4", "--kernel", "30", "--padding", "0"], 2, "Conv2d: the kernel [30, 30]"),
        (["profile", "--op", "group_norm", "--shape", "2,8,8,4"], 2, "32"), (["profile", "cat"], 2, "cat not in"), (["profile", "mlp", "mlp"], 2, "mlp"),
        *((["profile", "mlp", "--steps", value], 2, f"--steps: '{value}' is not a whole number") for value in ["0", "-1", "1e9", "x", ""]),
        (["profile", "mlp", "--batch-size", "99999999"], 2, "--batch-size"), (["profile", "mlp", "--threads", "-1"], 2, "--threads"),
        (["profile", "mlp", "--precision", "low"], 2, "--precision: low not in"), (["profile", "mlp", "--seed", "-1"], 2, "--seed"),
        (["profile", "mlp", "--warmup", "-1"], 2, "--warmup"), (["profile", "mlp", "--trace"], 2, "--trace"),
        (["profile", "mlp", "--trace", "/proc/none/t.json.gz"], 4, "cannot be written"),
        (["profile", "mlp", "--roofline", "broken.json/r.svg"], 4, "cannot be written"),
        (["profile", "mlp", "--peaks", "/proc/none/p.json"], 4, "cannot be written"),
        (["profile", "mlp", "--peaks", "broken.json"], 3, "broken.json: is no file of peaks"),
    ]:
        found, out, err = run(folder, *options)
        require(found == code, f"{options}: exit code {found}, expected {code}: {err}")
        require(err.startswith("tapestry: error: ") and err.count("\n") == 1 and text in err, f"{options}: stderr is {err!r}")
        require(out == "", f"{options}: stdout is {out!r}")
    for name, value in [("TAPESTRY_TARGET", "foo"), ("TAPESTRY_THREADS", "many")]:
        for command in [["info"], ["profile", "mlp"]]:
            found, _, err = run(folder, *command, **{name: value})
            require(found == 4 and name in err and value in err, f"{name}={value} {command}: exit code {found}: {err}")
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([PROGRAM, "info"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    require(done.returncode == 4 and "stdout: cannot be written" in done.stderr, "a full stdout")


def info(folder):
    found, out, err = run(folder, "--help")
    require(found == 0 and err == "" and "profile" in out and "info" in out, f"--help: {out}")
    found, out, _ = run(folder, "profile", "--help")
    require(found == 0 and "--roofline" in out, f"profile --help: {out}")
    require(run(folder, "--version")[:2] == (0, f"tapestry {VERSION}\n"), "--version")

    found, out, err = run(folder, "info", TAPESTRY_THREADS="3", TAPESTRY_TARGET="")
    require(found == 0 and err == "", f"info: {found} {err}")
    for text in [VERSION, "cpu ", "targets ", "TAPESTRY_TARGET is not set", "matrix unit ", "AMX", "L1 ", "threads     3; ",
                 "TAPESTRY_THREADS=3", "huge pages ", "Highway ", "xsimd ", "fmt ", "compiler "]:
        require(text in out, f"info does not say '{text}': {out}")
    found, out, err = run(folder, "info", "--json", TAPESTRY_THREADS="3", TAPESTRY_TARGET="scalar")
    facts = json.loads(out)
    require(found == 0 and facts["version"] == VERSION and facts["threads"] == 3 and facts["target"] == "scalar", f"{facts}")
    require(facts["target"] in facts["targets"] and facts["environment"]["TAPESTRY_TARGET"] == "scalar", f"{facts}")
    require(set(facts["units"]) == {"highest", "high", "medium"} and set(facts["amx"]) == {"tiles", "bf16", "permitted"}, f"{facts}")
    require(not facts["amx"]["permitted"] or facts["amx"]["tiles"], f"{facts}")
    require([cache["level"] for cache in facts["caches"]] == sorted(cache["level"] for cache in facts["caches"]), f"{facts}")
    require("peaks" not in facts, "peaks that nobody asked for")
    measured = json.loads(run(folder, "info", "--json", "--measure")[1])["peaks"]
    require(measured["flops"] > 1e6 and measured["levels"][-1]["level"] == "memory", f"{measured}")
    require("GFLOP/s on one thread" in run(folder, "info", "--measure")[1], "info --measure")


def profile(folder):
    files = ["--trace", "out/trace.json.gz", "--roofline", "out/roof.svg", "--peaks", "out/peaks.json"]
    found, out, err = run(folder, "profile", "mlp", *SHORT, *files, "--threads", "2", "--json", "--counters")
    require(found == 0 and err == "", f"profile: {found} {err}")
    lines = [json.loads(line) for line in out.splitlines()]
    kinds = {}
    for line in lines:
        kinds.setdefault(line["kind"], []).append(line)
    require(set(kinds) == {"op", "total", "peaks", "threads", "counters"}, f"{set(kinds)}")
    ops = {(row["op"], row["layer"], row["pass"]): row for row in kinds["op"]}
    names = {(op, passed) for op, _, passed in ops}
    require(names == {(op, passed) for op in ["linear", "relu", "cross_entropy"] for passed in ["forward", "backward"]}
            | {("loader", "section"), ("optimizer", "section"), ("between ops", "other")}, f"{names}")
    require(ops["linear", "1", "forward"]["flops"] == 3 * (2 * 8 * 784 * 256 + 8 * 256), f"{ops}")
    require(all(row["calls"] == 3 and row["threads"] == 2 and row["precision"] == "highest" for row in kinds["op"]), f"{ops}")
    require(abs(sum(row["share"] for row in kinds["op"]) - 1) < 1e-6, "the shares do not add up")
    require(kinds["total"][0]["steps"] == 3 and kinds["total"][0]["batch"] == 8, f"{kinds['total']}")
    require(abs(sum(kinds["threads"][0]["chunk_shares"]) - 1) < 1e-6 or not any(kinds["threads"][0]["chunk_shares"]), "threads")
    counters = kinds["counters"][0]
    require((counters["cycles"] is None) == (counters["refusal"] != ""), f"{counters}")

    trace = json.loads(gzip.decompress((folder / "out/trace.json.gz").read_bytes()))
    calls = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    require(len(calls) == 3 * 10, f"{len(calls)} calls in the trace")
    require(all(event["dur"] >= 0 and event["ts"] >= 0 for event in calls), "times in the trace")
    titles = [title.text for title in xml.etree.ElementTree.parse(folder / "out/roof.svg").iter("{http://www.w3.org/2000/svg}title")]
    require(any(title.startswith("1 linear backward: ") for title in titles), f"{titles}")

    written = (folder / "out/peaks.json").read_text()
    found, out, err = run(folder, "profile", "mlp", *SHORT, "--threads", "2", "--peaks", "out/peaks.json", "--counters")
    require(found == 0 and err == "" and (folder / "out/peaks.json").read_text() == written, f"peaks are not used again: {err}")
    rows = re.findall(r"^(\S+) +(linear|relu|cross_entropy|loader|optimizer|between ops)  +(forward|backward|-) +1 +([\d.]+) ", out, re.MULTILINE)
    require(len(rows) == 11, f"{len(rows)} rows: {out}")
    times = [float(row[3]) for row in rows]
    require(times == sorted(times, reverse=True), f"not sorted: {times}")
    require("mlp, batch 8: 3 steps of " in out and "Hardware counters" in out or "cycles" in out, out)
    found, _, err = run(folder, "profile", "mlp", *SHORT, "--threads", "1", "--peaks", "out/peaks.json")
    require(found == 2 and "out/peaks.json: these peaks are of 2 threads" in err, f"peaks of others: {found} {err}")
    found, out, err = run(folder, "profile", "voxel_bn3d", "--steps", "1", "--warmup", "0", "--batch-size", "1", "--precision", "medium")
    require(found == 0 and "conv3d" in out and "medium" in out, f"voxel_bn3d: {found} {err}")


def ops(folder):
    peaks = ["--threads", "2", "--peaks", "out/peaks.json"]
    listed = re.search(r"--op TEXT:\{([^}]*)\}", re.sub(r"\s+", "", run(folder, "profile", "--help")[1]).replace("--opTEXT", "--op TEXT"))
    names = listed[1].split(",")
    require(len(names) > 20, f"{names}")
    for name in names:
        rank = int(name[-2]) + 2 if name[-2:] in ("1d", "2d", "3d") else 3
        shape = ",".join(["2", *["5"] * (rank - 2), "32"])
        found, out, err = run(folder, "profile", "--op", name, "--shape", shape, *SHORT[:4], *peaks, "--json")
        rows = {row["pass"]: row for row in map(json.loads, out.splitlines()) if row["kind"] == "op" and row["op"] not in ("between ops", "reshape")}
        require(found == 0 and err == "" and set(rows) == {"forward", "backward"}, f"{name}: {found} {err} {out}")
        require(all(0 < row["fastest"] <= row["seconds"] / 3 + 1e-12 and row["bytes"] > 0 for row in rows.values()), f"{name}: {rows}")
    command = ["--op", "conv2d", "--shape", "2,9,9,8", "--out", "6", "--kernel", "2", "--stride", "2", "--padding", "0", "--groups", "2"]
    found, out, err = run(folder, "profile", *command, *SHORT[:4], *peaks, "--json")
    rows = {row["pass"]: row for row in map(json.loads, out.splitlines()) if row["kind"] == "op" and row["op"] == "conv2d"}
    outputs = 2 * 4 * 4 * 6
    require(rows["forward"]["flops"] == 3 * (2 * outputs * 4 * 4 + outputs), f"{rows} {err}")
    require(rows["backward"]["flops"] == 3 * (2 * 2 * outputs * 4 * 4 + outputs), f"{rows}")
    require(rows["forward"]["model"] == "conv2d [2, 9, 9, 8]", f"{rows}")


def document(folder):
    """Each command of the document, with fewer steps; what it names is there."""
    text = DOCUMENT.read_text()
    commands = [shlex.split(line) for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
                for line in block.splitlines() if line.startswith("tapestry ")]
    require(len(commands) >= 4, f"{len(commands)} commands in {DOCUMENT.name}")
    for command in commands:
        given = [SHORT[i:i + 2] for i in range(0, len(SHORT), 2) if SHORT[i] not in command
                 and (SHORT[i] != "--batch-size" or "--op" not in command)] if command[1] == "profile" else []
        if "--steps" in command:
            command[command.index("--steps") + 1] = "2"
        found, out, err = run(folder, *command[1:], *(word for option in given for word in option))
        require(found == 0 and out != "" and err == "", f"{command}: {found} {err}")
    help_text = run(folder, "profile", "--help")[1] + run(folder, "info", "--help")[1]
    for option in set(re.findall(r"`(--[a-z-]+)", text)):
        require(option in help_text, f"{DOCUMENT.name} names {option}")
    fields = {field for line in run(folder, "profile", "mlp", *SHORT, "--json", "--counters")[1].splitlines() for field in json.loads(line)}
    for field in re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE):
        require(field in fields, f"{DOCUMENT.name} names the field {field}")


with tempfile.TemporaryDirectory() as name:
    for part in [refusals, info, profile, ops, document]:
        part(pathlib.Path(name))
print("\n".join(complaints) or "the tapestry command is as it should be")
sys.exit(1 if complaints else 0)
