#!/usr/bin/env python3
"""Adds up what meson's test logs say, suite by suite; the last line is `N passed, N failed`.

A program that prints `result: N passed, N failed, N skipped` counts as that many test cases, any other test as one.
"""

import json
import pathlib
import re
import sys

RESULT = re.compile(r"^result: (\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
TARGETS = re.compile(r"^cases per target:(.*)$", re.MULTILINE)


def count(test, filtered):
    """(passed, failed, skipped) of one test of the log."""
    good, skip = test["result"] == "OK", test["result"] == "SKIP"
    found = RESULT.findall(test.get("stdout", ""))
    if not found:
        return (int(good), int(not good and not skip), int(skip))
    passed, failed, skipped = map(int, found[-1])
    nothing = passed + failed + skipped == 0 and not filtered
    if failed == 0 and (not good or nothing):  # it crashed at the end, or a target or all cases did not run
        failed = 1
    return passed, failed, skipped


def main():
    filtered = "--filtered" in sys.argv
    logs = [pathlib.Path(argument) for argument in sys.argv[1:] if not argument.startswith("--")]
    totals = [0, 0, 0]
    print(f"\n{'suite':<28}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}   cases per target")
    for log in logs:
        label = log.parent.parent.name + ": " if len(logs) > 1 else ""
        tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if not tests:
            print(f"{label}no test ran")
            totals[1] += 1
        for test in sorted(tests, key=lambda test: test["name"]):
            counts = count(test, filtered)
            totals = [total + one for total, one in zip(totals, counts)]
            targets = TARGETS.findall(test.get("stdout", ""))
            name = label + re.sub(r"^tapestry:", "", test["name"]).split(" / ")[-1]
            print(f"{name:<28}" + "".join(f"{n:>8}" for n in counts) + f"{test['duration']:>9.1f}   " + "".join(targets).strip())
    if sum(totals) == 0:
        print("no test case matches the filter")
        totals[1] = 1
    print(f"{totals[0]} passed, {totals[1]} failed" + (f", {totals[2]} skipped" if totals[2] else ""))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
