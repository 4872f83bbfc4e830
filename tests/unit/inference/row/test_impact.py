import numpy as np
import pytest

from inference.domain.action import SetCap
from inference.domain.request import Priority
from inference.policies.power.no_cap import no_cap
from inference.row.impact import brake_delays_s, impact, shape_error
from inference.row.simulator import simulate
from tests.support.rows import SECOND_NS, HandServer, Scripted, hand_row


def test_a_run_costs_nothing_against_itself() -> None:
    run = simulate(hand_row(), HandServer(), None)
    added = impact(run, run, Priority.HIGH)
    assert (added.p50, added.p99, added.each_p99, added.throughput, added.rate) == (0,) * 5


def test_only_the_capped_priority_pays() -> None:
    row = hand_row(servers=6, busy=0.3)
    low = [i for i, own in enumerate(row.priorities()) if own is Priority.LOW]
    free = simulate(row, HandServer(), None)
    script = {2: [SetCap(server, 700, SECOND_NS) for server in low]}
    capped = simulate(row, HandServer(), Scripted(script))
    high, lower = (impact(capped, free, own) for own in (Priority.HIGH, Priority.LOW))
    assert (high.p50, high.each_p99) == (0.0, 0.0)
    # A prompt takes 1 ms a token, twice that at half the clock; a token of output 10 ms at any clock.
    own = free.requests[0]
    prefill_s = own.service_ns.sum() - 1e7 * (own.output_tokens - 1).sum()
    assert lower.rate == pytest.approx(
        100 * (1 - own.service_ns.sum() / (own.service_ns.sum() + prefill_s)), rel=0.01
    )
    assert lower.p50 > 0
    assert lower.each_p50 > 0


def test_runs_of_different_rows_are_not_compared() -> None:
    runs = [simulate(hand_row(seed=seed), HandServer(), None) for seed in (1, 2)]
    with pytest.raises(ValueError, match="same requests"):
        impact(runs[0], runs[1], Priority.LOW)


def test_every_brake_holds_7_s_after_the_period_in_which_overload_began() -> None:
    row = hand_row(servers=8, busy=0.9, provisioned_w=280.0)
    run = simulate(row, HandServer(), no_cap(row.provisioned_w, row.priorities()))
    held, back = brake_delays_s(run)
    assert len(held) == run.brakes > 3
    assert held.min() == held.max() == 7.0
    assert back.min() >= 7.0
    samples = run.power_w.reshape(-1, 2).mean(axis=1)
    assert np.all(samples[(np.array(run.brake_seconds()) - 7) // 2] > row.provisioned_w)


def test_a_run_without_brakes_has_no_delays() -> None:
    held, back = brake_delays_s(simulate(hand_row(), HandServer(), None))
    assert held.size == back.size == 0


def test_power_follows_the_shape_that_its_load_was_drawn_from() -> None:
    row = hand_row(servers=40, busy=0.6, days=1)
    run = simulate(row, HandServer(), None)
    assert shape_error(run, HandServer()) < 3.0
    run.power_w[:] = run.power_w * 1.2
    assert shape_error(run, HandServer()) > 15.0
