"""Goal: a value of the wrong type, range or name is refused with its dotted key and what would have been right."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from inference.scenarios.schema import (
    Above,
    Between,
    Length,
    Nonempty,
    Refused,
    closest,
    decode,
    shown,
)


@dataclass(frozen=True, kw_only=True)
class Cat:
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Between(1, 9)] = 9


@dataclass(frozen=True, kw_only=True)
class Dog:
    kind: Literal["dog"] = "dog"
    name: Annotated[str, Nonempty()]


@dataclass(frozen=True, kw_only=True)
class House:
    pets: tuple[Cat | Dog, ...] = ()
    rooms: Mapping[str, float] = field(default_factory=dict)
    guard: Dog | None = None
    lit: bool = False
    height_m: Annotated[float, Above(0.0, 100.0)]
    doors: Annotated[tuple[int, ...], Length(0, 2)] = ()


def test_decodes_nested_tables():
    house = decode(
        House,
        {
            "height_m": 3,
            "pets": [{"kind": "dog", "name": "Rex"}, {"kind": "cat", "lives": 7}],
            "rooms": {"hall": 4, "attic": 2.5},
            "guard": {"name": "Bo"},
        },
    )
    assert house.pets == (Dog(name="Rex"), Cat(lives=7))
    assert house.rooms == {"hall": 4.0, "attic": 2.5}
    assert isinstance(house.height_m, float)
    assert house.guard == Dog(name="Bo")


@pytest.mark.parametrize(
    ("values", "key", "expected"),
    [
        ({}, "height_m", "expected a value, found none"),
        ({"height": 1}, "height", "did you mean 'height_m'?"),
        ({"hieght_m": 1}, "hieght_m", "did you mean 'height_m'?"),
        ({"zzz": 1}, "zzz", "expected one of doors, guard, height_m, lit, pets, rooms"),
        ({"height_m": "tall"}, "height_m", "expected a number, found 'tall'"),
        ({"height_m": True}, "height_m", "expected a number, found true"),
        ({"height_m": float("nan")}, "height_m", "finite"),
        ({"height_m": float("inf")}, "height_m", "finite"),
        ({"height_m": 10**400}, "height_m", "finite"),
        ({"height_m": 0}, "height_m", "above 0.0, at most 100.0, found 0.0"),
        ({"height_m": 1, "lit": 1}, "lit", "expected true or false, found 1"),
        ({"height_m": 1, "pets": {}}, "pets", "expected an array, found a table"),
        ({"height_m": 1, "pets": [3]}, "pets.0", "expected a table, found 3"),
        ({"height_m": 1, "pets": [{}]}, "pets.0.kind", "expected one of cat, dog, found none"),
        ({"height_m": 1, "pets": [{"kind": "cow"}]}, "pets.0.kind", "found 'cow'"),
        ({"height_m": 1, "pets": [{"kind": "cat", "lives": 10}]}, "pets.0.lives", "from 1 to 9"),
        ({"height_m": 1, "pets": [{"kind": "cat", "lives": 2.0}]}, "pets.0.lives", "whole number"),
        ({"height_m": 1, "guard": {"name": " "}}, "guard.name", "not empty"),
        ({"height_m": 1, "doors": [1, 2, 3]}, "doors", "expected 0 to 2 values, found 3"),
        ({"height_m": 1, "rooms": [1]}, "rooms", "expected a table, found an array of 1"),
        ({"height_m": 1, "rooms": {"hall": "big"}}, "rooms.hall", "expected a number"),
    ],
)
def test_refuses_with_key_and_expectation(values, key, expected):
    with pytest.raises(Refused) as refused:
        decode(House, values)
    assert ".".join(refused.value.key) == key
    assert expected in refused.value.expected


def test_free_parameters_are_scalars_or_arrays_of_them():
    kind = Mapping[str, bool | int | float | str | tuple[int, ...]]
    assert decode(kind, {"a": [1, 2], "b": "x", "c": 1.5}) == {"a": (1, 2), "b": "x", "c": 1.5}
    for wrong in (float("nan"), {"deep": 1}, 2**63, [float("inf")]):
        with pytest.raises(Refused):
            decode(kind, {"a": wrong})


def test_a_long_value_is_cut_short():
    assert len(shown("x" * 500)) <= 60


def test_closest_of_nothing():
    assert closest("x", []) == "none is known here"
