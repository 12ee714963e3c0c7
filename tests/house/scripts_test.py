#!/usr/bin/env python3
"""The options of scripts/build, scripts/mutants, scripts/setup and scripts/test_debian, in a tree of three files whose
meson and ninja are scripts of this test."""

import os
import pathlib
import subprocess
import tempfile

import tree

MESON = '#!/bin/sh\nmkdir -p "$2/tests" && touch "$2/build.ninja"\n'
# The program passes where the file says `two`, and does not compile where it says `none`.
NINJA = """#!/bin/sh
cd "$2"
echo "[1/2] Compiling C++ object libx.a.p/code.cc.o"
if grep -q none ../tree/code.txt; then echo "code.txt: error: none"; exit 1; fi
cat >tests/a_test <<'END'
#!/bin/sh
[ "$1" = other ] && echo "result: 0 passed, 0 failed, 0 skipped" && exit 1
here=$(dirname "$0")
grep -q two "$here/../../tree/code.txt" && echo "result: 1 passed, 0 failed, 0 skipped" && exit 0
echo "result: 0 passed, 1 failed, 0 skipped" && exit 1
END
chmod +x tests/a_test
echo "[2/2] Linking target tests/a_test"
"""
FAULTS = [("code.txt", "one", "two", "three", "case"), ("code.txt", "two", "one", "1", "case"), ("code.txt", "three", "four", "4", "case"),
          ("code.txt", "four", "two", "none", "case"), ("other.txt", "five", "x", "y", "other")]
OUTCOMES = {"one": "caught", "two": "SURVIVED", "three": "DOES NOT APPLY: the old text stands there 0 times",
            "four": "DOES NOT COMPILE: code.txt: error: none", "five": "NOT TESTED: no test matches"}
complaints = []


def require(good, what):
    if not good:
        complaints.append(what)


def run(command, **environment):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
                          env=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def lay_out(folder):
    for name, text in {"bin/meson": MESON, "bin/ninja": NINJA, "root/scripts/mutants": (tree.ROOT / "scripts/mutants").read_text()}.items():
        script(folder / name, text)
    (folder / "root/tests/mutants").mkdir(parents=True)
    (folder / "root/code.txt").write_text("one two\n")
    (folder / "root/other.txt").write_text("x\n")
    (folder / "root/tests/mutants/all.toml").write_text("".join(
        f'[[fault]]\nfile = "{file}"\nwhat = "{what}"\nold = "{old}"\nnew = "{new}"\ntest = "a_test: {filter}"\n' for file, what, old, new, filter in FAULTS))
    run(["git", "init", "-q", folder / "root"])


def mutants(folder, *options):
    return run([folder / "root/scripts/mutants", *options], PATH=f"{folder / 'bin'}:{os.environ['PATH']}")


def mutants_options(folder):
    everything = mutants(folder, "--list")[1].splitlines()
    require(len(everything) == len(FAULTS), f"--list: {everything}")
    parts = [line for i in "123" for line in mutants(folder, "--list", "--part", f"{i}/3")[1].splitlines()]
    require(parts == everything, f"--part: {parts}")
    for bad in ["0/3", "4/3", "x", "3"]:
        code, _, err = mutants(folder, "--list", "--part", bad)
        require(code == 2 and "is not a part like 1/4" in err, f"--part {bad}: {code} {err}")
    code, out, err = mutants(folder, "--only", "typo")
    require(code == 1 and out == "" and "no fault is called that" in err, f"--only of nothing: {code} {out} {err}")
    code, out, _ = mutants(folder, "--only", "code.txt: one", "--jobs", "1")
    require(code == 0 and out.splitlines()[-1] == "1 of 1 faults caught", f"--only: {code} {out}")


def mutants_resume(folder):
    keep = folder / "kept"
    code, out, _ = mutants(folder, "--keep", keep, "--part", "1/2", "--jobs", "2")
    require(code == 1 and "1 of 2 faults caught" in out, f"the first part: {code} {out}")
    code, out, err = mutants(folder, "--keep", keep)
    lines = out.splitlines()
    require(code == 1 and lines[0] == "2 of 5 were seeded by an earlier run" and lines[-1] == "1 of 5 faults caught", f"--keep: {code} {out} {err}")
    for what, outcome in OUTCOMES.items():
        found = [line for line in (keep / "results.jsonl").read_text().splitlines() if f": {what} [" in line]
        require(len(found) == 1 and f'"outcome": "{outcome}"' in found[0], f"{what}: {found}")
    require((keep / "1/tree/code.txt").read_text() == "one two\n", "a fault was left in the copy")
    results = folder / "results"
    results.write_text((keep / "results.jsonl").read_text() + '{"fault": "cut o')
    code, out, _ = mutants(folder, "--resume", results)
    require(out.splitlines() == ["5 of 5 were seeded by an earlier run", "1 of 5 faults caught"], f"--resume: {out}")
    (folder / "root/new.txt").write_text("another tree\n")
    code, out, _ = mutants(folder, "--resume", results, "--only", "code.txt: one")
    require("earlier run" not in out and len(results.read_text().splitlines()) == 2, f"results of another tree: {out}")


def build(folder):
    (folder / "tree").mkdir()
    (folder / "b/meson-logs").mkdir(parents=True)
    (folder / "b/tests").mkdir()
    (folder / "b/build.ninja").touch()
    counter, path = tree.ROOT / "scripts/build", f"{folder / 'bin'}:{os.environ['PATH']}"
    (folder / "tree/code.txt").write_text("two")
    code, out, err = run([counter, folder / "b"], PATH=path)
    require(code == 0 and out == "" and "[1/2]" in err and "code.cc\n" in err and "\n2 steps in 0 s\n" in err, f"build: {code} {out!r} {err!r}")
    (folder / "tree/code.txt").write_text("none")
    code, out, err = run([counter, folder / "b"], PATH=path)
    require(code == 1 and "code.txt: error: none" in err, f"a build that fails: {code} {err!r}")
    require("error: none" in (folder / "b/meson-logs/build.log").read_text(), "the log lacks what the compiler said")


    code, out, err = run([counter, folder / "nowhere"], PATH=path)
    require(code == 1 and "is no build directory" in err and "Traceback" not in err, f"a build nowhere: {code} {err!r}")


def usage():
    for name, options, text in [("setup", ["fly"], "'fly' is not a job"), ("test_debian", [], "which release"), ("test_debian", ["11"], "'11' is neither"),
                                ("test_debian", ["12", "13"], "one release"), ("test_debian", ["--command"], "needs a value"),
                                ("test", ["--fly"], "'--fly' is not an option"), ("test_arm", ["fly"], "'fly' is not a folder")]:
        code, out, err = run([tree.ROOT / "scripts" / name, *options])
        require(code == 2 and text in err and out == "", f"{name} {options}: {code} {out!r} {err!r}")


def main():
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        lay_out(folder)
        for part in (mutants_options, mutants_resume, build):
            part(folder)
    usage()
    tree.finish(complaints, "the scripts do what their options say")


main()
