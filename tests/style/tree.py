"""The files of the repository as git knows them, and what the style tests ask of each."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("junctiond/api/_pb/",)


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Tracked and new files with one of the suffixes, without generated ones, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(
        Path(name)
        for name in sorted(set(listed.splitlines()))
        if name.endswith(suffixes) and not name.startswith(GENERATED) and (ROOT / name).is_file()
    )


def text(path: Path) -> str:
    """A file's content."""
    return (ROOT / path).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Function:
    """A Python function: where it is, and how many lines it has."""

    place: str
    lines: int


def functions(path: Path) -> Iterator[Function]:
    """Every function of a Python file, nested ones too, its docstring not counted."""
    for node in ast.walk(ast.parse(text(path), str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            lines = (node.end_lineno or 0) - node.lineno + 1 - docstring
            yield Function(f"{path}:{node.lineno} {node.name}", lines)


def definitions(path: Path) -> Iterator[str]:
    """Names of the classes and functions that a Python file defines."""
    for node in ast.walk(ast.parse(text(path), str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
