#!/usr/bin/env python3
"""Runs the smallest cases of a benchmark, so that it cannot rot: all must give a time, and none an error.

smoke_test.py PROGRAM FILTER
"""
import json
import subprocess
import sys

program, pattern = sys.argv[1:3]
done = subprocess.run([program, "--benchmark_min_time=0.001", "--benchmark_filter=" + pattern, "--benchmark_format=json"],
                      capture_output=True, text=True, check=False)
if done.returncode != 0 or not done.stdout.startswith("{"):
    sys.exit(f"{program}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
runs = json.loads(done.stdout)["benchmarks"]
wrong = [f"{run['name']}: {run.get('error_message', 'an error')}" for run in runs if run.get("error_occurred")]
if wrong or not runs:
    sys.exit("\n".join(wrong) or f"{program}: no benchmark matches {pattern}")
print(f"{len(runs)} benchmarks run")
