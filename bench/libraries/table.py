#!/usr/bin/env python3
"""Highway beside xsimd beside plain loops, as one Markdown table.

table.py PROGRAM              runs libraries_bench, kernel by kernel: some minutes
table.py FILE.json...         takes what the program wrote with --benchmark_out=FILE.json
"""
import json
import subprocess
import sys

KERNELS = ["exp", "log", "sqrt", "tanh", "erf", "sigmoid", "relu", "silu", "softplus", "gelu", "sum", "dot", "axpy",
           "softmax", "adam"]
TARGETS = ["scalar", "sse2", "sse4", "avx2", "avx3", "neon"]
LIBRARIES = {"highway": "Highway", "xsimd": "xsimd", "plain": "plain loops", "fast-math": "plain, -ffast-math",
             "tapestry": "Tapestry", "map": "Tapestry's map"}
FLAGS = ["--benchmark_min_time=0.01", "--benchmark_repetitions=5"]  # of which the fastest counts


def run(program, kernel):
    done = subprocess.run([program, f"--benchmark_filter=^{kernel}/", "--benchmark_format=json", *FLAGS],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)["benchmarks"]


def read(arguments):
    if all(argument.endswith(".json") for argument in arguments):
        return [run for path in arguments for run in json.load(open(path, encoding="utf-8"))["benchmarks"]]
    return [each for kernel in KERNELS for each in run(arguments[0], kernel)]


def number(value):
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def error(value):
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}".replace("0.0", "0")


def cell(found, levels, best):
    if not found:
        return "-"
    rates = [number(found[level]["bytes_per_second"] / 1e9) for level in levels]
    text = " / ".join(rates)
    return (f"**{text}**" if best else text) + f"; {error(found[levels[0]]['ulp'])}"


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    results, levels, samples = {}, [], {}
    for each in read(sys.argv[1:]):
        if each.get("error_occurred"):
            sys.exit(f"{each['name']}: {each['error_message']}")
        if each["run_type"] == "aggregate":
            continue
        kernel, library, target, level = each["run_name"].split("/")
        found = results.setdefault((kernel, target), {}).setdefault(library, {})
        found[level] = max(found.get(level, each), each, key=lambda run: run["bytes_per_second"])
        samples[kernel] = each["label"]
        if level not in levels:
            levels.append(level)
    print(f"| kernel, x of the sample | target | {' | '.join(LIBRARIES.values())} |")
    print("|---|---|" + "---|" * len(LIBRARIES))
    for kernel in KERNELS:
        name = f"{kernel} {samples.get(kernel, '')}"
        for target in TARGETS:
            row = results.get((kernel, target))
            if not row:
                continue
            fastest = max(row, key=lambda library: row[library][levels[0]]["bytes_per_second"])
            cells = [cell(row.get(library), levels, library == fastest) for library in LIBRARIES]
            print(f"| {name} | {target} | {' | '.join(cells)} |")
            name = ""


main()
