"""Goal: the page of promises says what the program judges by, row by row, and every limit that it points to is there."""

import re
from pathlib import Path

from loadtests import goals
from loadtests.placement import Placement

DOCS = Path(__file__).parents[3] / "docs"
SPECIFICATION = (DOCS / "specification.md").read_text()
LIMITS = re.findall(r"^## (\S+)$", (DOCS / "limits.md").read_text(), re.MULTILINE)
NAMES = [goal.name for goal in goals.GOALS]
TARGETS = {"faasd": "bench-faasd", "simulator": "bench-sim"}
"""What measures a benchmark that `make bench` does not."""


def promised() -> list[list[str]]:
    """The cells of the table of promises."""
    table = SPECIFICATION[SPECIFICATION.index("| promise |") :].split("\n\n")[0]
    rows = [row[1:-1].split("|") for row in table.splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def cells(goal: goals.Goal, bound: goals.Bound) -> list[str]:
    """What the table has to say of a bound, but for the link to its limit."""
    return [
        goal.words if bound is goal.bounds[0] else "",
        ", ".join(f"`{subject}`" for subject in bound.subjects if subject),
        bound.attachment,
        Placement(bound.placement).letter if bound.placement else "",
        f"`{goal.benchmark}/{bound.figure}`",
        f"`{bound}`",
        f"`{bound.text(bound.stretch)}`" if bound.stretch is not None else "",
        f"`make {TARGETS.get(goal.benchmark, 'bench')}`",
    ]


def test_the_table_has_every_bound_of_every_goal_and_nothing_else() -> None:
    assert [row[:8] for row in promised()] == [
        cells(goal, bound) for goal in goals.GOALS for bound in goal.bounds
    ]


def test_every_limit_is_of_a_goal_and_linked_from_its_row() -> None:
    assert [name for name in LIMITS if name not in NAMES] == []
    linked = re.findall(r"\[(\S+)\]\(limits\.md#(\S+)\)", SPECIFICATION)
    assert linked == [(name, name) for name in NAMES if name in LIMITS]
