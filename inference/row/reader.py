"""Takes values out of a row's scenario file; each is checked where it is taken."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from inference.errors import ScenarioError
from inference.scenarios.includes import read


class Reader:
    """One scenario file with everything that it includes.

    Attributes:
        document: its merged tables.

    Raises:
        ScenarioError: the file is missing, no TOML, or includes itself; or, from any method, a value is not as expected.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ScenarioError(str(path), "file", "expected a row scenario, found no file")
        self._path = str(path)
        self._tables = read(path)
        self.document: Mapping[str, object] = self._tables.values

    def table(self, document: Mapping[str, object], key: str) -> Mapping[str, object]:
        """A table that must be there."""
        found = document.get(key)
        if not isinstance(found, dict):
            self.refuse(key, f"a table [{key}], found {found!r}")
        return found

    def text(self, table: Mapping[str, object], key: str) -> str:
        """A text that must be there and not be empty; `key` is dotted, its last part is looked up."""
        found = table.get(key.rpartition(".")[2])
        if not isinstance(found, str) or not found:
            self.refuse(key, f"a text, found {found!r}")
        return found

    def whole(
        self, table: Mapping[str, object], key: str, low: int, high: int, default: int | None = None
    ) -> int:
        """A whole number within bounds."""
        found = table.get(key.rpartition(".")[2], default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            self.refuse(key, f"a whole number from {low} to {high}, found {found!r}")
        return found

    def number(
        self,
        table: Mapping[str, object],
        key: str,
        low: float,
        high: float,
        default: float | None = None,
    ) -> float:
        """A number within bounds."""
        found = table.get(key.rpartition(".")[2], default)
        if isinstance(found, bool) or not isinstance(found, int | float):
            self.refuse(key, f"a number from {low:g} to {high:g}, found {found!r}")
        if not low <= found <= high:
            self.refuse(key, f"a number from {low:g} to {high:g}, found {found:g}")
        return float(found)

    def known(self, table: Mapping[str, object], at: str, keys: Sequence[str]) -> None:
        """Refuse any key that is not among `keys`."""
        for key in table:
            if key not in keys:
                where = f"{at}.{key}" if at else key
                self.refuse(where, f"one of {', '.join(keys)}; this key is unknown")

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Raise that something else was expected at a key."""
        raise self.error(key, f"expected {expected}")

    def error(self, key: str, expected: str) -> ScenarioError:
        """The error for a key, with the file that it was set in."""
        source = self._tables.source_of(tuple(key.split(".")), self._path)
        return ScenarioError(source, key, expected)
