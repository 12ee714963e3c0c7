#!/usr/bin/env python3
"""Walks every #include and fails on an arrow that the table in docs/design.md does not have."""

import re

import tree

LIBRARIES = {  # what the table calls a library: how its headers begin
    "Highway": "hwy/", "xsimd": "xsimd/", "fmt": "fmt/", "zlib": "zlib.h", "nlohmann_json": "nlohmann/",
    "CLI11": "CLI/", "Catch2": "catch2/", "Google Benchmark": "benchmark/",
}
SOURCES_ONLY = {"nlohmann_json"}  # never in a header
INTERNAL = "not part of the public interface"  # what the first line of a header says that tapestry.h need not include
EVERYWHERE = {"tapestry.h", "kernels/error.h"}
SYSTEM = re.compile(r"(sys|linux|asm|sanitizer)/\w+\.h|(fcntl|unistd|stdlib|sched|pthread|signal|poll|immintrin|cpuid|x86intrin|dlfcn)\.h")


def table():
    """folder: (own folders and headers, libraries) that it may include, from the table."""
    allowed = {}
    for line in (tree.ROOT / "docs/design.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        folder = re.fullmatch(r"`(\w+)/`", cells[0])
        if folder and len(cells) == 3:
            own = set(re.findall(r"`([\w/]+(?:\.h|/))`", cells[2]))
            own |= {f"{name}/" for name in tree.FOLDERS} if "anything" in cells[2] else set()
            allowed[folder[1]] = own, {library for library in LIBRARIES if library in cells[2]}
    return allowed


def allows_own(own, folder, target):
    return (target in EVERYWHERE and folder != "kernels" or target in own
            or any(target.startswith(room) for room in own | {folder + "/"} if room.endswith("/")))


def judge(path, folder, own, libraries):
    """What is wrong with the includes of one file."""
    for is_own, target, line in tree.includes(path):
        where = f"{tree.name(path)}:{line}"
        library = next((key for key, prefix in LIBRARIES.items() if target.startswith(prefix)), None)
        if is_own:
            if not (tree.ROOT / target).is_file():
                yield f'{where}: "{target}" is not a path from the root of the tree'
            elif not allows_own(own, folder, target):
                yield f"{where}: {folder}/ may not include {target}"
        elif library:
            if library not in libraries:
                yield f"{where}: {folder}/ may not include {library} ({target})"
            elif library in SOURCES_ONLY and path.suffix == ".h":
                yield f"{where}: {library} belongs in .cc files only"
        elif "/" in target or "." in target:
            if path.suffix != ".cc" or not SYSTEM.fullmatch(target):
                yield f"{where}: {target} is neither of the standard library nor in the table"


def main():
    allowed = table()
    complaints = [f"docs/design.md: the table has no row for {folder}/" for folder in tree.FOLDERS if folder not in allowed]
    public = set(tree.closure("tapestry.h"))
    complaints += [f"tapestry.h does not include {tree.name(path)}, directly or not" for path in tree.sources("autodiff/ops", "layers", "optim")
                   if path.suffix == ".h" and tree.name(path) not in public and INTERNAL not in path.read_text().splitlines()[0]]
    count = 0
    for path in tree.sources():
        folder = path.relative_to(tree.ROOT).parts[0]
        if folder == "tapestry.h":
            folder, rules = "umbrella", ({f"{own}/" for own in tree.FOLDERS[:7]}, set())
        else:
            rules = allowed.get(folder)
        if rules:
            complaints += judge(path, folder, *rules)
        count += 1
    tree.finish(complaints, f"the includes of {count} files follow the table")


main()
