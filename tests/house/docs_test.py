#!/usr/bin/env python3
"""The documents tell the truth. In README.md, CONTRIBUTING.md and docs/*.md:

- each ```cpp block stands, line for line, in the file that the comment above it names
  (<!-- from examples/03_mlp.cc -->), and meson compiles that file;
- each ```sh block below <!-- run --> is run, from the root of the tree, and must succeed;
- each scripts/NAME, link and `path/to/file` exists, and so does each --option of a script.
"""

import re
import subprocess
import textwrap

import tree

BLOCK = re.compile(r"(?:<!-- (run|from ([\w./-]+)) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"(?:\./)?(scripts/[\w-]+)((?: +[^\s`|#\\]+)*)")
PATH = re.compile(r"`((?:%s|docs|scripts|\.ci)/[\w./-]*[\w/-])`" % "|".join(tree.FOLDERS))
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def stands_in(block, file):
    """Whether the lines of the block, blank ones apart, follow each other in the file, at any indentation."""
    def flat(text):
        return [line.rstrip() for line in textwrap.dedent(text).splitlines() if line.strip()]
    wanted, lines = flat(block), [line.rstrip() for line in file.read_text().splitlines() if line.strip()]
    return any(flat("\n".join(lines[start:start + len(wanted)])) == wanted for start in range(len(lines)))


def compiled(name):
    """Whether a meson.build names the file, with or without its folders and extension."""
    path = tree.ROOT / name
    return any(re.search(rf"['/]{re.escape(path.stem)}(\.cc)?'", build.read_text())
               for folder in [path.parent, *path.parent.parents] if folder.is_relative_to(tree.ROOT)
               for build in [folder / "meson.build"] if build.is_file())


def snippets(name, text):
    for match in BLOCK.finditer(text):
        mark, source, language, block = match.groups()
        where = f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        if language == "cpp":
            if not source or not (tree.ROOT / source).is_file():
                yield f"{where}: a C++ block needs <!-- from FILE --> above it, and that file"
            elif not compiled(source):
                yield f"{where}: no meson.build compiles {source}"
            elif not stands_in(block, tree.ROOT / source):
                yield f"{where}: these lines are not in {source}"
        elif mark == "run":
            result = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=tree.ROOT, stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, check=False)
            if result.returncode:
                yield f"{where}: exit code {result.returncode}: {(result.stderr or result.stdout).strip()[-300:]}"


def mentions(name, text):
    help_of = {}
    for match in COMMAND.finditer(text):
        script = tree.ROOT / match[1]
        if not script.is_file():
            yield f"{name}: there is no {match[1]}"
        elif match[1] != "scripts/train":
            body = help_of.setdefault(match[1], script.read_text())
            yield from (f"{name}: {match[1]} has no option {option}" for option in re.findall(r"--[a-z][\w-]*", match[2])
                        if option not in body)
    for path in {*PATH.findall(text)}:
        if not (tree.ROOT / path).exists():
            yield f"{name}: there is no {path}"
    for link in LINK.findall(BLOCK.sub("", text)):
        if not (tree.ROOT / name).parent.joinpath(link).exists():
            yield f"{name}: the link to {link} leads nowhere"


def main():
    documents = [tree.ROOT / "README.md", tree.ROOT / "CONTRIBUTING.md", tree.ROOT / "CHANGELOG.md", *sorted((tree.ROOT / "docs").glob("*.md"))]
    complaints = []
    for document in documents:
        if document.is_file():
            text = document.read_text()
            complaints += [*snippets(tree.name(document), text), *mentions(tree.name(document), text)]
        else:
            complaints.append(f"there is no {tree.name(document)}")
    tree.finish(complaints, f"{len(documents)} documents hold true")


main()
