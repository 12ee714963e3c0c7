#!/usr/bin/env python3
"""Walks every #include and fails on an arrow that the table in docs/design.md does not have, or on a circle of headers."""

import re

import tree

LIBRARIES = {  # what the table calls a library: how its headers begin
    "Highway": "hwy/", "xsimd": "xsimd/", "fmt": "fmt/", "zlib": "zlib.h", "nlohmann_json": "nlohmann/",
    "CLI11": "CLI/", "Catch2": "catch2/", "Google Benchmark": "benchmark/",
}
SOURCES_ONLY = {"nlohmann_json"}  # never in a header
IN_SOURCES = "in `.cc` files"  # what follows these words in a cell, only .cc files may include
INTERNAL = "not part of the public interface"  # what the first line of a header says that tapestry.h need not include
EVERYWHERE = {"tapestry.h", "kernels/error.h"}
SYSTEM = re.compile(r"(sys|linux|asm|sanitizer)/\w+\.h|(fcntl|unistd|stdlib|sched|pthread|signal|poll|immintrin|cpuid|x86intrin|dlfcn)\.h")


def table():
    """folder: (own folders and headers, libraries, what only .cc files have beside these) that it may include."""
    allowed = {}
    for line in (tree.ROOT / "docs/design.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and re.fullmatch(r"`[\w/]+/`(, `[\w/]+/`)*", cells[0]):
            own, sources = (set(re.findall(r"\b(?:\w+/)+(?:\w+\.h)?", part))
                            for part in (cells[2] + IN_SOURCES).split(IN_SOURCES)[:2])
            if "anything" in cells[2]:
                own.add("anything")
            for folder in re.findall(r"`([\w/]+)/`", cells[0]):
                allowed[folder] = own, {library for library in LIBRARIES if library in cells[2]}, sources
    return allowed


def row_of(name, allowed):
    """The folder in the table that a file belongs to: the innermost one."""
    return max((folder for folder in allowed if name.startswith(folder + "/")), key=len, default=None)


def allows_own(own, folder, target, allowed):
    home = row_of(target, allowed)
    return (target in EVERYWHERE and not folder.startswith("kernels") or target in own
            or any(target.startswith(room) for room in own if room.endswith("/") and room.count("/") > 1)
            or home is not None and ("anything" in own or home == folder or home + "/" in own))


def judge(path, folder, allowed):
    """What is wrong with the includes of one file."""
    own, libraries, sources = allowed[folder]
    own = own | sources if path.suffix == ".cc" else own
    for is_own, target, line in tree.includes(path):
        where = f"{tree.name(path)}:{line}"
        library = next((key for key, prefix in LIBRARIES.items() if target.startswith(prefix)), None)
        if is_own:
            if not (tree.ROOT / target).is_file():
                yield f'{where}: "{target}" is not a path from the root of the tree'
            elif not allows_own(own, folder, target, allowed):
                yield f"{where}: {folder}/ may not include {target}"
        elif library:
            if library not in libraries:
                yield f"{where}: {folder}/ may not include {library} ({target})"
            elif library in SOURCES_ONLY and path.suffix == ".h":
                yield f"{where}: {library} belongs in .cc files only"
        elif "/" in target or "." in target:
            if path.suffix != ".cc" and path.parent.name != "pch" or not SYSTEM.fullmatch(target):
                yield f"{where}: {target} is neither of the standard library nor in the table"


def circles():
    """The headers that include themselves, by way of others."""
    for path in tree.sources():
        if path.suffix == ".h":
            reached = set().union(*(tree.closure(target) for own, target, _ in tree.includes(path) if own), set())
            if tree.name(path) in reached:
                back = [name for name in sorted(reached) if name != tree.name(path) in tree.closure(name)]
                yield f"{tree.name(path)} includes itself by way of {', '.join(back)}"


def main():
    allowed = table()
    complaints = [f"docs/design.md: the table has no row for {folder}/" for folder in tree.FOLDERS if folder not in allowed]
    public = set(tree.closure("tapestry.h"))
    complaints += [f"tapestry.h does not include {tree.name(path)}, directly or not" for path in tree.sources("autodiff/ops", "layers", "optim")
                   if path.suffix == ".h" and tree.name(path) not in public and INTERNAL not in path.read_text().splitlines()[0]]
    allowed["tapestry.h"] = {f"{own}/" for own in allowed if own.split("/")[0] in tree.FOLDERS[:7]}, set(), set()
    complaints += circles()
    count = 0
    for path in tree.sources():
        folder = row_of(tree.name(path), allowed) or tree.name(path)
        if folder in allowed:
            complaints += judge(path, folder, allowed)
        count += 1
    tree.finish(complaints, f"the includes of {count} files follow the table")


main()
