"""A grid of overrides: `key=a,b` and `key=low:high:step`, every combination of them in a fixed order."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from inference.errors import ScenarioError
from inference.scenarios.includes import value_of

POINTS_MAX = 100_000
SOURCE = "argument --grid"

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Axis:
    """One key and the values that it takes in turn."""

    key: str
    values: tuple[Value, ...]


Point = tuple[tuple[str, Value], ...]
"""One combination: keys with their values."""


def axis_of(text: str) -> Axis:
    """An axis as typed: `routing.policy=jsq,round_robin` or `trace.rate_per_s=30:160:10` (both ends included).

    Raises:
        ScenarioError: no key, no values, or a range that does not rise or has too many values.
    """
    key, equals, listed = (part.strip() for part in text.partition("="))
    if not key or not equals or not listed:
        raise ScenarioError(SOURCE, text or "(empty)", "expected KEY=a,b or KEY=low:high:step")
    values: list[Value] = []
    for one in listed.split(","):
        values.extend(_range(key, one) if one.count(":") == 2 else [_single(key, one.strip())])
    seen: set[str] = set()
    for value in values:
        if (typed := _typed(value)) in seen:
            raise ScenarioError(SOURCE, key, f"expected each value once, found {typed} twice")
        seen.add(typed)
    return Axis(key, tuple(values))


def points_of(axes: Sequence[Axis]) -> tuple[Point, ...]:
    """All combinations, the last axis fastest.

    Raises:
        ScenarioError: an axis comes twice, or there are too many combinations.
    """
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise ScenarioError(SOURCE, key, "expected each key once")
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > POINTS_MAX:
        raise ScenarioError(SOURCE, "points", f"expected at most {POINTS_MAX:,}, found {count:,}")
    rows = itertools.product(*(axis.values for axis in axes))
    return tuple(tuple(zip(keys, row, strict=True)) for row in rows)


def overrides_of(point: Point) -> list[str]:
    """A point as assignments for the loader."""
    return [f"{key}={_typed(value)}" for key, value in point]


def _typed(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _single(key: str, text: str) -> Value:
    value = value_of(text)
    if not isinstance(value, bool | int | float | str) or value == "":
        raise ScenarioError(SOURCE, key, f"expected a number or a word, found {text!r}")
    return value


def _range(key: str, text: str) -> list[Value]:
    expected = f"expected low:high:step with low <= high and step > 0, found {text!r}"
    parts = [value_of(part.strip()) for part in text.split(":")]
    if not all(isinstance(part, int | float) and not isinstance(part, bool) for part in parts):
        raise ScenarioError(SOURCE, key, expected)
    low, high, step = parts
    if not (low <= high and step > 0 and high - low < float("inf")):
        raise ScenarioError(SOURCE, key, expected)
    if (high - low) / step >= POINTS_MAX:
        raise ScenarioError(SOURCE, key, f"expected at most {POINTS_MAX:,} values")
    count = int((high - low) / step + 1e-9) + 1
    if all(isinstance(part, int) for part in parts):
        return [low + index * step for index in range(count)]
    return [round(low + index * step, 9) for index in range(count)]
