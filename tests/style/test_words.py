"""Goal: names say what a thing is, nothing is left half done, and each document has one title."""

import re
from pathlib import Path

from tests.style import tree

# Words that say nothing about what is inside.
EMPTY_MODULES = {"utils", "util", "helper", "helpers", "common", "misc", "manager", "base_utils"}
EMPTY_SUFFIX = re.compile(r"(?:Manager|Helper|Helpers|Utils|Impl)$")

# Written in halves: this file would find itself otherwise.
UNFINISHED = re.compile(
    "|".join(
        [
            "TO" + "DO",
            "FIX" + "ME",
            "X" + "XX",
            "NotImplemented" + "Error",
            "todo" + r"!\(",
            "unimplemented" + r"!\(",
        ]
    )
)


def test_modules_are_nouns():
    empty = [
        str(path)
        for path in tree.files(".py", ".rs", ".go")
        # `common` is cargo's own convention for what integration tests share.
        if path.stem in EMPTY_MODULES and not (path.stem == "common" and "tests" in path.parts)
    ]
    assert not empty, "name the module for what it holds"


def test_names_say_what_a_thing_is():
    empty = [
        f"{path}: {name}"
        for path in tree.files(".py")
        for name in tree.definitions(path)
        if EMPTY_SUFFIX.search(name)
    ]
    empty += [
        f"{path}: {name}"
        for path in tree.files(".rs")
        for name in re.findall(r"\b(?:struct|enum|trait)\s+(\w+)", tree.text(path))
        if EMPTY_SUFFIX.search(name)
    ]
    assert not empty, "a noun of the domain says more"


def test_nothing_is_left_for_later():
    left = [
        f"{path}:{number}"
        for path in tree.files(".py", ".rs", ".go", ".sh", ".proto", ".js", "Makefile")
        for number, line in enumerate(tree.text(path).splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not left, "finish it, or file an issue"


# Shared memory and preloaded code: there every module is about what the language cannot check.
UNSAFE_CRATES = {Path("dataplane/ring"), Path("dataplane/shim"), Path("dataplane/goshim")}


def test_unsafe_lives_in_modules_named_sys():
    astray = [
        f"{path}:{number}"
        for path in tree.files(".rs")
        if "sys" not in path.with_suffix("").parts and "tests" not in path.parts
        if UNSAFE_CRATES.isdisjoint(path.parents)
        for number, line in enumerate(tree.text(path).splitlines(), 1)
        if re.search(r"\bunsafe\s*(?:\{|fn|impl|extern)", line.split("//")[0])
    ]
    assert not astray, "wrap it in a safe function of a module named sys"


def test_documents_have_one_title():
    wrong = []
    for path in tree.files(".md"):
        prose = re.sub(r"```.*?```", "", tree.text(path), flags=re.DOTALL)
        if len(re.findall(r"^# ", prose, flags=re.MULTILINE)) != 1:
            wrong.append(str(path))
    assert not wrong


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{path}: {target}"
        for path in tree.files(".md")
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", tree.text(path))
        if "://" not in target and not (tree.ROOT / path.parent / target).exists()
    ]
    assert not broken
