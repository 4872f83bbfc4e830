"""Reading scenario files: includes, deep merge, overrides, and which file each key came from.

`include = ["base.toml"]` puts the named files first, in order, and the including file over them. Tables merge key by key,
everything else is replaced. Where the later table says another `kind` it replaces the earlier one whole, and where it
says another `policy` it drops the earlier policy's `parameters`: settings of the one mean nothing to the other.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.errors import ScenarioError
from inference.scenarios.schema import Key, shown

INCLUDES_DEEP_MAX = 16
BYTES_MAX = 1 << 20
ARGUMENT = "argument --set"
SHIPPED = Path(__file__).parent / "files"
"""Scenarios that come with the product."""


@dataclass(slots=True)
class Tables:
    """Merged tables, and the source of each key that was ever set.

    Attributes:
        values: as `tomllib` gives them.
        sources: file (or "argument") by key path.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[Key, str] = field(default_factory=dict)

    def source_of(self, key: Key, default: str) -> str:
        """Where a key, or else the nearest table around it, was last set."""
        for end in range(len(key), 0, -1):
            if key[:end] in self.sources:
                return self.sources[key[:end]]
        return default

    def merge(self, values: Mapping[str, Any], source: str) -> None:
        """Put tables over these."""
        self._merge(self.values, values, (), source)

    def _merge(self, under: dict[str, Any], over: Mapping[str, Any], key: Key, source: str) -> None:
        if _differs(under, over, "kind"):
            under.clear()
            self.sources = {at: it for at, it in self.sources.items() if at[: len(key)] != key}
            self.sources[key] = source
        if _differs(under, over, "policy"):
            under.pop("parameters", None)
        for name, value in over.items():
            path = (*key, name)
            if isinstance(value, dict):
                # A copy: what a file said must not change when another file is put over it.
                if not isinstance(under.get(name), dict):
                    under[name] = {}
                    self.sources[path] = source
                self._merge(under[name], value, path, source)
            else:
                under[name] = value
                self.sources[path] = source


def read(path: Path) -> Tables:
    """A scenario file with everything that it includes.

    Raises:
        ScenarioError: a file is missing, is no TOML, or includes itself.
    """
    tables = Tables()
    _read(path, (), tables)
    return tables


def override(tables: Tables, assignments: Sequence[str]) -> None:
    """Apply `dotted.key=value` from the command line; the value is TOML, or a plain string where that fails to parse.

    Raises:
        ScenarioError: an assignment has no key or no equals sign.
    """
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        names = [name.strip() for name in dotted.split(".")]
        if not equals or not all(names):
            raise ScenarioError(ARGUMENT, shown(assignment), "expected KEY=VALUE, as in seed=1")
        if names[0] == "include":
            raise ScenarioError(
                ARGUMENT, "include", "files are included by files, not by arguments"
            )
        nested: Any = value_of(text.strip())
        for name in reversed(names):
            nested = {name: nested}
        tables.merge(nested, ARGUMENT)


def value_of(text: str) -> Any:
    """A value as typed on a command line: TOML, else the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text
    # A newline in the text would add keys; then it is no single value.
    return parsed["value"] if parsed.keys() == {"value"} else text


def _differs(under: Mapping[str, Any], over: Mapping[str, Any], name: str) -> bool:
    return name in under and name in over and under[name] != over[name]


def _read(path: Path, chain: tuple[Path, ...], tables: Tables) -> None:
    values = _parse(path)
    resolved = path.resolve()
    if resolved in chain:
        loop = " -> ".join(one.name for one in (*chain[chain.index(resolved) :], resolved))
        raise ScenarioError(str(path), "include", f"expected no cycle, found {loop}")
    if len(chain) >= INCLUDES_DEEP_MAX:
        expected = f"expected at most {INCLUDES_DEEP_MAX} files deep"
        raise ScenarioError(str(path), "include", expected)
    for name in _included(path, values.pop("include", [])):
        _read(path.parent / name, (*chain, resolved), tables)
    _anchor(values, path)
    tables.merge(values, str(path))


def _included(path: Path, names: object) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ScenarioError(
            str(path), "include", f'expected ["base.toml", …], found {shown(names)}'
        )
    for name in names:
        if "\0" in name or not (path.parent / name).is_file():
            missing = f"expected a file beside {path.name}, found none named {shown(name)}"
            raise ScenarioError(str(path), "include", missing)
    return names


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ScenarioError(str(path), "file", f"expected a readable file: {reason}") from None
    if len(content) > BYTES_MAX:
        raise ScenarioError(str(path), "file", f"expected at most {BYTES_MAX:,} bytes")
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(str(path), "file", f"expected TOML: {error}") from None
    except (RecursionError, ValueError) as error:
        # Deep nesting, and integers of more digits than Python reads.
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ScenarioError(str(path), "file", f"expected TOML: {reason}") from None


def _anchor(values: dict[str, Any], path: Path) -> None:
    """Relative paths are meant beside the file that says them, wherever that is included."""
    trace = values.get("trace")
    if isinstance(trace, dict) and isinstance(trace.get("path"), str) and trace["path"].strip():
        trace["path"] = str(path.parent / trace["path"])
    beside = values.get("beside")
    if isinstance(beside, list):
        values["beside"] = [
            str(path.parent / one) if isinstance(one, str) and one.strip() else one
            for one in beside
        ]
