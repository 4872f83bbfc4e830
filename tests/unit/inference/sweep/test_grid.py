"""Goal: grids as typed become points in a fixed order, or are refused with what was expected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import ScenarioError
from inference.sweep.grid import Axis, axis_of, overrides_of, points_of


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("routing.policy=jsq,round_robin", ("jsq", "round_robin")),
        ("trace.rate_per_s=30:60:10", (30, 40, 50, 60)),
        ("trace.rate_per_s=0.1:0.3:0.1", (0.1, 0.2, 0.3)),
        ("a.b = 1, 2.5 ,true", (1, 2.5, True)),
        ("a=1:2:1,9", (1, 2, 9)),
        ("a=x:y", ("x:y",)),
    ],
)
def test_axes(text, values):
    assert axis_of(text).values == values


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "=1",
        "a=",
        "a=1,,2",
        "a=3:1:1",
        "a=1:2:0",
        "a=x:y:z",
        "a=0:9e9:1",
        "a=1,1",
        "a=nan:1:1",
        "a=0:inf:1",
        "a=0:1:nan",
        "a=[1]",
    ],
)
def test_wrong_axes_are_refused(text):
    with pytest.raises(ScenarioError, match="argument --grid"):
        axis_of(text)


def test_points_are_all_combinations_the_last_axis_fastest():
    points = points_of([Axis("a", (1, 2)), Axis("b", ("x", "y"))])
    assert points == (
        (("a", 1), ("b", "x")),
        (("a", 1), ("b", "y")),
        (("a", 2), ("b", "x")),
        (("a", 2), ("b", "y")),
    )
    assert overrides_of((("a", True), ("b", 2.5), ("c", "x"))) == ["a=true", "b=2.5", "c=x"]


def test_too_many_points_or_a_key_twice_are_refused():
    with pytest.raises(ScenarioError, match="each key once"):
        points_of([Axis("a", (1,)), Axis("a", (2,))])
    with pytest.raises(ScenarioError, match="at most 100,000"):
        points_of([Axis("a", tuple(range(1000))), Axis("b", tuple(range(101)))])


@given(st.text(max_size=30))
def test_any_text_is_an_axis_or_refused(text):
    try:
        assert axis_of(text).values
    except ScenarioError as error:
        assert error.source == "argument --grid"
