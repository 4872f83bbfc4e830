"""A policy's own settings as a frozen dataclass, read from names and values with errors that name the setting."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from inference.errors import ScenarioError

T = TypeVar("T")
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
SHOWN_MAX = 60


class Range(NamedTuple):
    """Bounds of a number, both included; for `Annotated`."""

    low: float
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Nothing:
    """A policy without settings."""


def decode(kind: type[T], values: Mapping[str, object], source: str, key: str) -> T:
    """Make a parameter dataclass; settings that are left out keep their defaults.

    Fields may be bool, int, float, str or a `Literal`, the numbers `Annotated` with a `Range`.

    Args:
        kind: the dataclass.
        values: by name of field.
        source: file that they come from, for errors.
        key: dotted key of the table that holds them, for errors.

    Raises:
        ScenarioError: an unknown setting (the known ones are listed), one that is missing, or a wrong type or value.
    """
    hints = get_type_hints(kind, include_extras=True)
    known: dict[str, Field[Any]] = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ScenarioError(source, f"{key}.{name}", listed(name, known))
    missing = [
        name
        for name, one in known.items()
        if one.default is MISSING and one.default_factory is MISSING and name not in values
    ]
    if missing:
        raise ScenarioError(source, f"{key}.{missing[0]}", "expected this setting, found none")
    return kind(
        **{
            name: _decoded(hints[name], one, source, f"{key}.{name}")
            for name, one in values.items()
        }
    )


def listed(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name: the one most like it, and all known ones."""
    names = sorted(known)
    if not names:
        return f"expected no settings, found {shown(name)}"
    alike = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {alike[0]!r}?" if alike else ""
    return f"expected one of {', '.join(names)}, found {shown(name)}{hint}"


def shown(value: object) -> str:
    """A value as an error message may carry it."""
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"


def _decoded(hint: Any, value: object, source: str, key: str) -> object:
    bounds: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        bounds = tuple(rest)
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        if value not in choices or isinstance(value, bool):
            expected = f"expected one of {', '.join(map(str, choices))}, found {shown(value)}"
            raise ScenarioError(source, key, expected)
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1000 else math.inf
    if type(value) is not hint or (isinstance(value, float) and not math.isfinite(value)):
        raise ScenarioError(source, key, f"expected {WORDS[hint]}, found {shown(value)}")
    for bound in bounds:
        if isinstance(value, int | float) and not bound.low <= value <= bound.high:
            end = "" if bound.high == math.inf else f" to {bound.high:g}"
            expected = f"expected {WORDS[hint]} from {bound.low:g}{end}, found {shown(value)}"
            raise ScenarioError(source, key, expected)
    return value
