"""Goal: Splitwise's nine objectives, as its authors' notebook computes them."""

import math

import numpy as np
import pytest

from inference.domain.slo import SlowdownSlo
from inference.results.run import Status
from inference.results.slowdown import SPLITWISE_SLOS, Reference, slowdowns
from tests.support.runs import MS, ints, one_request, run_of, with_status

REFERENCE = Reference(
    "a100", lambda prompts: prompts * 100_000, lambda prompts: np.full(len(prompts), 30 * MS)
)


def test_slowdowns_of_one_request_by_hand():
    told = slowdowns(one_request().requests, REFERENCE)
    assert told.reference == "a100"
    assert told.ttft_slowdown.p50 == 200 / 100
    assert told.tbt_slowdown.p50 == pytest.approx(450 / 11 / 30)
    assert told.e2e_slowdown.p50 == 650 / (100 + 30 * 10)
    # TBT 1.364 and E2E 1.625 are over their median limits of 1.25, E2E also over 1.5.
    assert told.broken == ("tbt_p50", "e2e_p50", "e2e_p90")
    assert not told.held


def at(slowdown: float):
    """A request whose three slowdowns are all `slowdown`, against 100 ms and 30 ms."""
    first = 1000 * MS + round(100 * MS * slowdown)
    decode = 1_000_000 * 30 * MS
    completion = first + round(decode * slowdown)
    return one_request(
        output_tokens=ints(1_000_000), first_token_ns=ints(first), completion_ns=ints(completion)
    )


def test_limits_are_inclusive_and_nine():
    exact = Reference("same", lambda prompts: prompts * 100_000, lambda p: np.full(len(p), 30 * MS))
    assert [(name, slo.p50, slo.p90, slo.p99) for name, slo in SPLITWISE_SLOS.items()] == [
        ("ttft", 2, 3, 6),
        ("tbt", 1.25, 1.5, 5),
        ("e2e", 1.25, 1.5, 5),
    ]
    only_ttft = {"ttft": SPLITWISE_SLOS["ttft"]}
    assert slowdowns(at(2.0).requests, exact, only_ttft).held
    assert slowdowns(at(2.001).requests, exact, only_ttft).broken == ("ttft_p50",)
    assert slowdowns(at(1.25).requests, exact, {"tbt": SPLITWISE_SLOS["tbt"]}).held
    assert slowdowns(at(1.2).requests, exact).held
    assert len(slowdowns(at(7.0).requests, exact).broken) == 9


def test_failed_requests_break_what_they_reach():
    run = run_of(100)
    lax = {name: SlowdownSlo(1e9, 1e9, 1e9) for name in SPLITWISE_SLOS}
    assert slowdowns(run.requests, REFERENCE, lax).held
    failed = with_status(run, r3=Status.REFUSED, r4=Status.UNFINISHED)
    told = slowdowns(failed.requests, REFERENCE, lax)
    assert told.broken == ("ttft_p99", "tbt_p99", "e2e_p99")
    assert math.isinf(told.ttft_slowdown.p99)


def test_without_requests_nothing_is_shown_to_hold():
    assert len(slowdowns(run_of(0).requests, REFERENCE).broken) == 9


@pytest.mark.parametrize("wrong", [lambda p: p * 0, lambda p: p[:0], lambda p: p * math.nan])
def test_a_reference_without_a_time_is_an_error(wrong):
    broken = Reference("broken", wrong, REFERENCE.decode_ns)
    with pytest.raises(ValueError, match="broken: prefill_ns must give one positive time"):
        slowdowns(one_request().requests, broken)
