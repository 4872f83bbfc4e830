"""The reference of scenario keys, read from the specification itself, so that it cannot fall behind."""

import inspect
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from inference.scenarios.schema import Above, Between, Length, hints
from inference.scenarios.spec import Scenario

ITEM = "NAME"
"""Stands for a table's name that the scenario chooses, and `N` for a place in an array."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a scenario.

    Attributes:
        key: dotted, with `NAME` and `N` where the scenario chooses.
        kind: of a table in kinds, the kind that has the key; empty elsewhere.
        values: type, range or closed set.
        default: as TOML, "required", or empty for nothing.
        meaning: from the specification.
    """

    key: str
    kind: str
    values: str
    default: str
    meaning: str


def keys() -> tuple[Key, ...]:
    """Every key, in the order of the specification."""
    return tuple(_keys(Scenario, "", ""))


def _keys(table: Any, prefix: str, kind: str) -> Iterator[Key]:
    meanings = _meanings(table)
    for field in fields(table):
        annotation = hints(table)[field.name]
        path = prefix + field.name
        inner, suffix = _inside(annotation)
        if not inner:
            values, default = _values(annotation), _default(field)
            yield Key(path, kind, values, default, meanings.get(field.name, ""))
            continue
        for one in inner:
            own = _kind_of(one) if len(inner) > 1 else kind
            yield from _keys(one, f"{path}{suffix}.", own)


def _inside(annotation: Any) -> tuple[tuple[Any, ...], str]:
    """Tables that an annotation leads to, and what stands between its key and theirs."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return tuple(one for one in arguments if is_dataclass(one)), ""
    if origin is tuple:
        return _inside(arguments[0])[0], ".N"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _inside(arguments[1])[0], f".{ITEM}"
    return ((annotation,), "") if is_dataclass(annotation) else ((), "")


def _kind_of(table: Any) -> str:
    return str(get_args(hints(table)["kind"])[0])


def _values(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        inner, *checks = get_args(annotation)
        told = _values(inner)
        for check in checks:
            if isinstance(check, Length):
                told += f", {check.low} to {check.high} of them"
            elif isinstance(check, Between | Above):
                told += f" {check}"
        return told
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(one) for one in arguments)
    if origin is tuple:
        return f"array of {_values(arguments[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of {_values(arguments[1])}"
    words_of = {int: "whole number", float: "number", str: "string", bool: "true | false"}
    return words_of.get(annotation, "any value")


def _default(field: "Field[Any]") -> str:
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return {"()": "[]", "None": ""}.get(str(value), str(value))


def _meanings(table: Any) -> dict[str, str]:
    """What docstrings say of each attribute, those of the classes above included."""
    told: dict[str, str] = {}
    for one in reversed(table.__mro__):
        _, _, section = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")
        for names, text in re.findall(
            r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", section, re.MULTILINE
        ):
            told.update(dict.fromkeys(re.split(r",\s*", names), " ".join(text.split())))
    return told
