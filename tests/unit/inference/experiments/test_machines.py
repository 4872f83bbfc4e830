"""Goal: SW1, SW4 and SW5 turn red where a search finds another cluster than the paper's."""

import math
from collections.abc import Sequence

import pytest

from inference.experiments.splitwise import machines
from inference.sweep.designs import Split


def found(monkeypatch: pytest.MonkeyPatch, splits: Sequence[Split]) -> None:
    monkeypatch.setattr(machines, "frontier", lambda *asked: iter(splits))
    monkeypatch.setattr(machines, "highest", lambda *asked: 100.0)


@pytest.mark.parametrize(
    ("split", "verdicts"),
    [
        (Split(27, 3), [True, True]),
        (Split(35, 3), [False, True]),
        (Split(22, 8), [True, False]),
        (None, [False, False]),
    ],
)
def test_the_sum_and_the_split_are_judged(
    monkeypatch: pytest.MonkeyPatch, split: Split | None, verdicts: list[bool]
) -> None:
    found(monkeypatch, [] if split is None else [split])
    targets = machines.least_machines("table")
    assert [one.id for one in targets] == ["SW1-table", "SW1-decode-table"]
    assert [one.met for one in targets] == verdicts


def test_a_design_that_saves_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, [Split(43, 43)])
    (cost,) = machines.least_cost("table")
    assert cost.ours == pytest.approx(0.0, abs=1.0)
    assert not cost.met
    found(monkeypatch, [])
    assert math.isnan(machines.least_power("table")[0].ours)
