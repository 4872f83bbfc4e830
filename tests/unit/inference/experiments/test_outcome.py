import math

import pytest

from inference.experiments.outcome import Target
from inference.models.provenance import Origin


def target(ours: float, low: float, high: float) -> Target:
    return Target("XX1", "what", "1 %", ours, "%", low, high, "scenario", 1, 0.5, Origin.MODELLED)


@pytest.mark.parametrize(
    ("ours", "low", "high", "met", "bound"),
    [
        (0.5, -math.inf, 1.0, True, "≤ 1 %"),
        (1.0, -math.inf, 1.0, True, "≤ 1 %"),
        (1.1, -math.inf, 1.0, False, "≤ 1 %"),
        (4.9, 5.0, math.inf, False, "≥ 5 %"),
        (0.0, 0.0, 0.0, True, "= 0 %"),
        (4.0, 3.0, 5.0, True, "3 … 5 %"),
        (math.nan, 3.0, 5.0, False, "3 … 5 %"),
    ],
)
def test_the_bounds_decide(ours: float, low: float, high: float, met: bool, bound: str) -> None:
    outcome = target(ours, low, high)
    assert outcome.met is met
    assert outcome.bound == bound


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (-math.inf, math.inf), (math.nan, 1.0)])
def test_bounds_that_cannot_judge_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="XX1"):
        target(1.0, low, high)
