"""From a TOML value to a frozen dataclass, checked by the annotations of its fields.

Knows bool, int, float, str, closed sets (`Literal`), tuples, tables of named values (`Mapping`), dataclasses, unions of
dataclasses told apart by their `kind`, and `X | None`. Every refusal names the dotted key and what would have been right.
"""

import difflib
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

Key = tuple[str, ...]
SHOWN_MAX = 60
"""Characters of a wrong value that a message repeats."""

LISTED_MAX = 20
"""Known names that a message lists."""


class Between(NamedTuple):
    """A number from `low` to `high`, both included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the number is in range."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low:,} to {self.high:,}"


class Above(NamedTuple):
    """A number greater than `low`, up to `high`."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the number is in range."""
        return self.low < value <= self.high

    def __str__(self) -> str:
        return f"above {self.low:,}, at most {self.high:,}"


class Length(NamedTuple):
    """How many values an array or a table may have."""

    low: int
    high: int


class Nonempty(NamedTuple):
    """A string of at least one character."""


class Refused(Exception):
    """A value is not what its key asks for.

    Attributes:
        key: path to it, outermost table first.
        expected: what would have been right, with what was found.
    """

    def __init__(self, key: Key, expected: str) -> None:
        super().__init__(f"{'.'.join(key)}: {expected}")
        self.key = key
        self.expected = expected


def decode(kind: Any, value: object, key: Key = ()) -> Any:
    """The value as the annotation `kind` asks for it.

    Raises:
        Refused: a type, a range, a key or a closed set does not fit.
    """
    checks: Sequence[object] = ()
    if get_origin(kind) is Annotated:
        kind, *checks = get_args(kind)
    decoded = _decode(kind, value, key)
    for check in checks:
        _check(check, decoded, key)
    return decoded


def shown(value: object) -> str:
    """A wrong value as a message repeats it: on one line, cut short."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    text = repr(value) if isinstance(value, str | bool | int | float) else str(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


def closest(word: str, known: Iterable[str]) -> str:
    """A hint with the known word that is most like a wrong one, and all of them where they are few."""
    names = sorted(known)
    begun = [name for name in names if word and name.startswith(word)]
    alike = begun or difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if alike:
        return f"did you mean {alike[0]!r}?"
    if not names:
        return "none is known here"
    more = f" and {len(names) - LISTED_MAX} more" if len(names) > LISTED_MAX else ""
    return f"expected one of {', '.join(names[:LISTED_MAX])}{more}"


def _decode(kind: Any, value: object, key: Key) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union(get_args(kind), value, key)
    if origin is Literal:
        return _literal(get_args(kind), value, key)
    if origin is tuple:
        return _array(get_args(kind)[0], value, key)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _named(get_args(kind)[1], value, key)
    if is_dataclass(kind):
        return _table(kind, value, key)
    return _scalar(kind, value, key)


def _scalar(kind: Any, value: object, key: Key) -> bool | int | float | str:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        # Beyond 2**1023 an integer is no float; nothing here is nearly as large.
        number = float(value) if abs(value) < 2**1023 else math.inf
        if not math.isfinite(number):
            raise Refused(key, f"expected a finite number, found {shown(value)}")
        return number
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        return value
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    raise Refused(key, f"expected {words[kind]}, found {shown(value)}")


def _literal(choices: tuple[Any, ...], value: object, key: Key) -> Any:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    hint = f"expected one of {', '.join(map(str, choices))}"
    raise Refused(key, f"{hint}, found {shown(value)}")


def _array(kind: Any, value: object, key: Key) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Refused(key, f"expected an array, found {shown(value)}")
    return tuple(decode(kind, one, (*key, str(index))) for index, one in enumerate(value))


def _named(kind: Any, value: object, key: Key) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(key, f"expected a table, found {shown(value)}")
    return {name: decode(kind, one, (*key, name)) for name, one in value.items()}


def _union(kinds: tuple[Any, ...], value: object, key: Key) -> Any:
    tables: list[Any] = [kind for kind in kinds if is_dataclass(kind)]
    if not tables:
        return _free(value, key)
    if len(tables) == 1:
        return _table(tables[0], value, key)
    if not isinstance(value, dict):
        raise Refused(key, f"expected a table, found {shown(value)}")
    by_kind = {get_args(hints(table)["kind"])[0]: table for table in tables}
    named = value.get("kind")
    if not isinstance(named, str) or named not in by_kind:
        found = "none" if "kind" not in value else shown(named)
        known = ", ".join(sorted(by_kind))
        raise Refused((*key, "kind"), f"expected one of {known}, found {found}")
    return _table(by_kind[named], value, key)


def _free(value: object, key: Key) -> Any:
    """A policy's own setting: any scalar, or an array of them."""
    if isinstance(value, list):
        return tuple(_free(one, (*key, str(index))) for index, one in enumerate(value))
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise Refused(key, f"expected a finite number, a string, true or false, found {shown(value)}")


@cache
def hints(table: Any) -> dict[str, Any]:
    """Annotations of a dataclass by field, checks included."""
    return get_type_hints(table, include_extras=True)


def _table(kind: Any, value: object, key: Key) -> Any:
    if not isinstance(value, dict):
        raise Refused(key, f"expected a table, found {shown(value)}")
    known = hints(kind)
    for name in value:
        if name not in known:
            raise Refused((*key, name), f"unknown key; {closest(name, known)}")
    for field in fields(kind):
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in value:
            raise Refused((*key, field.name), "expected a value, found none")
    return kind(**{name: decode(known[name], one, (*key, name)) for name, one in value.items()})


def _check(check: object, value: Any, key: Key) -> None:
    match check:
        case Between() | Above():
            if not check.holds(value):
                raise Refused(key, f"expected a number {check}, found {shown(value)}")
        case Nonempty():
            if not value.strip():
                raise Refused(key, "expected a string that is not empty")
        case Length(low, high):
            if not low <= len(value) <= high:
                raise Refused(key, f"expected {low} to {high} values, found {len(value)}")
