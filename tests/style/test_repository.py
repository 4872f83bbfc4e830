"""Goal: what is written twice says the same twice: versions, dependencies, generated code, commands in documents."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from tests.style import tree

MAKE_TARGETS_MAX = 17


@pytest.fixture(scope="module")
def project():
    return tomllib.loads(tree.text(Path("pyproject.toml")))["project"]


@pytest.fixture(scope="module")
def cargo():
    return tomllib.loads(tree.text(Path("dataplane/Cargo.toml")))


@pytest.fixture(scope="module")
def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*?## ", tree.text(Path("Makefile")), flags=re.MULTILINE))


def read(name: str) -> str:
    return tree.text(Path(name))


def test_both_languages_have_one_version(project, cargo):
    assert cargo["workspace"]["package"]["version"] == project["version"]


def rust_dependencies() -> set[str]:
    """Crates from outside that any manifest of the workspace names."""
    names: set[str] = set()
    for manifest in tree.files("Cargo.toml"):
        parsed = tomllib.loads(tree.text(manifest))
        for table in (parsed, parsed.get("workspace", {}), *parsed.get("target", {}).values()):
            for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
                names |= set(table.get(kind, {}))
    return {name for name in names if not name.startswith("jd-")}


def test_every_dependency_is_explained(project):
    first_cells = " ".join(
        re.findall(r"^\| ([^|]+) \|", read("docs/dependencies.md"), re.MULTILINE)
    )
    explained = set(re.findall(r"[A-Za-z0-9_.-]+", first_cells))
    python = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[<>=~! ]", one)[0] for one in python} | rust_dependencies()
    assert sorted(names - explained) == [], "give each a line in docs/dependencies.md"


def test_every_dependency_is_pinned(project):
    locked = set(re.findall(r"^([a-z0-9.-]+)==", read("requirements.lock"), flags=re.MULTILINE))
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[\[<>=~! ]", one)[0].lower() for one in wanted} <= locked, "run make lock"


def test_generated_code_is_what_its_source_makes(tmp_path):
    from junctiond.api.generate import PACKAGE, generate

    for made in generate(tmp_path):
        kept = tree.ROOT / PACKAGE / made.name
        assert made.read_text() == kept.read_text(), "run python -m junctiond.api.generate"


def test_make_has_few_targets_each_explained(targets):
    phony = re.search(r"^\.PHONY: (.*)$", read("Makefile"), flags=re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets
    assert len(targets) <= MAKE_TARGETS_MAX


def test_commands_in_documents_exist(targets):
    from typer.main import get_command

    from junctiond.cli.app import app

    known = set(getattr(get_command(app), "commands", {}))
    wrong = []
    for path in tree.files(".md"):
        # In code only: prose may say that something makes sense.
        code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", tree.text(path), flags=re.DOTALL))
        wrong += [
            f"{path}: make {name}"
            for name in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", code, re.MULTILINE)
            if name not in targets
        ]
        wrong += [
            f"{path}: junctiond {name}"
            for name in re.findall(
                r"(?:^|`|sudo |bin/)junctiond ([a-z][a-z-]*)", code, re.MULTILINE
            )
            if name not in known
        ]
    assert not wrong


def test_programs_can_be_executed():
    scripts = [path for path in tree.files(".sh", ".ci/run") if tree.text(path).startswith("#!")]
    assert scripts
    assert [str(path) for path in scripts if not os.access(tree.ROOT / path, os.X_OK)] == []
