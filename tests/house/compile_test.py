#!/usr/bin/env python3
"""Every public header compiles on its own, and a short program that includes tapestry.h compiles in under 5 seconds.

compile_test.py headers|time COMPILER...   the compiler's command, with the include paths it needs
Under load the clock lies, so only twice the time is a failure; the time is printed.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import tree

LIMIT = 5.0
PROGRAM = """#include <tapestry.h>
using namespace tapestry;

int main() {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({1, 3}, {1, 2, 3}));
  const Gradients gradients = tape.backward(matmul(x, x, {.transpose_b = true}));
  return gradients[x].size() == 3 ? 0 : 1;
}
"""


def compile(command, source, *options):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "program.cc"
        path.write_text(source)
        return subprocess.run([*command, "-I", str(tree.ROOT), *options, "-c", str(path), "-o", os.devnull],
                              capture_output=True, text=True, check=False, env=os.environ | {"CCACHE_DISABLE": "1"})


def headers(command):
    public = tree.closure("tapestry.h")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda header: compile(command, f'#include "{header}"\n', "-fsyntax-only", "-O0"), public))
    complaints = []
    for header, result in zip(public, results):
        if result.returncode:
            errors = [line for line in result.stderr.splitlines() if "error" in line]
            complaints.append(f"{header} does not compile alone: {(errors or ['?'])[0]}")
    tree.finish(complaints, f"{len(public)} headers compile alone")


def clock(command):
    start = time.monotonic()
    result = compile(command, PROGRAM, "-O2")
    seconds = time.monotonic() - start
    if result.returncode:
        tree.finish([result.stderr], "")
    tree.finish([f"it took {seconds:.1f} s"] if seconds > 2 * LIMIT else [],
                f"a program of ten lines compiles in {seconds:.1f} s; the limit is {LIMIT:.0f} s")


{"headers": headers, "time": clock}[sys.argv[1]](sys.argv[2:])
