"""The row's stretches against a plain reference that walks request by request and second by second."""

import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.domain.action import Action, SetBrake, SetCap, SetClock
from inference.domain.request import Priority
from inference.errors import PolicyError
from inference.policies.power.polca import polca
from inference.row.result import RowRun
from inference.row.scenario import RowScenario, power_policy
from inference.row.simulator import pools_of, simulate
from tests.support.rows import CLOCK_MHZ_MAX, SECOND_NS, HandServer, Scripted, hand_row

RUN_S = 10_800


def clocks_over_time(run: RowRun) -> list[list[tuple[int, int]]]:
    """For each server: (from when, clock), as the commands that landed say."""
    clocks = [[(0, CLOCK_MHZ_MAX)] for _ in range(run.row.servers)]
    for command in run.commands:
        for server in command.servers:
            clocks[server].append((command.at_ns, command.clock_mhz))
    return clocks


def serve(
    start_ns: int, prompt: int, output: int, clocks: list[tuple[int, int]]
) -> list[tuple[float, float, float]]:
    """Pieces of one request on one server: (from, to, watts); the last ends with its last token."""
    prefill_left, decode_left = float(prompt) * 1e6, float(output - 1) * 1e7
    at = float(start_ns)
    pieces = []
    bounds = [(since, until, mhz) for (since, mhz), (until, _) in pairwise([*clocks, (10**18, 0)])]
    for _, until, mhz in bounds:
        ratio = mhz / CLOCK_MHZ_MAX
        if until <= at:
            continue
        if prefill_left > 0:
            took = min(prefill_left / ratio, until - at)
            pieces.append((at, at + took, 100.0 + 300.0 * ratio))
            at, prefill_left = at + took, prefill_left - took * ratio
            if prefill_left > 1e-3:
                continue
            prefill_left = 0.0
        took = min(decode_left, until - at)
        pieces.append((at, at + took, 100.0 + 200.0 * ratio))
        at, decode_left = at + took, decode_left - took
        if decode_left <= 0:
            break
    return pieces


def reference(row: RowScenario, run: RowRun) -> tuple[list[np.ndarray], np.ndarray]:
    """Finish times by workload, and the power of each second, walked one request after another."""
    clocks = clocks_over_time(run)
    energy_j = np.full(RUN_S, 100.0 * row.servers)
    finishes = []
    for pool in pools_of(row, HandServer()):
        free = [(0.0, server) for server in pool.servers]
        finish = []
        for arrival, prompt, output in zip(
            pool.arrival_ns.tolist(),
            pool.prompt_tokens.tolist(),
            pool.output_tokens.tolist(),
            strict=True,
        ):
            at, server = heapq.heappop(free)
            pieces = serve(max(arrival, at), prompt, output, clocks[server])
            for since, until, watts in pieces:
                for second in range(
                    int(since // SECOND_NS), min(int(until // SECOND_NS) + 1, RUN_S)
                ):
                    inside = min(until, (second + 1) * 1e9) - max(since, second * 1e9)
                    energy_j[second] += (watts - 100.0) * max(0.0, inside) / 1e9
            finish.append(pieces[-1][1])
            heapq.heappush(free, (finish[-1], server))
        finishes.append(np.array(finish))
    return finishes, energy_j


commands = st.dictionaries(
    st.integers(1, 5_300).map(lambda half: 2 * half),
    st.tuples(
        st.integers(0, 3),
        st.sampled_from((0, 700, 1000)),
        st.sampled_from((True, False, None)),
        st.integers(1, 60),
    ),
    max_size=12,
)


def actions(server: int, mhz: int, braked: bool | None, delay_s: int) -> Sequence[Action]:
    if braked is None:
        return (SetCap(server, mhz, delay_s * SECOND_NS),)
    return (SetBrake(server, braked, delay_s * SECOND_NS), SetCap(server, mhz, 40 * SECOND_NS))


@settings(max_examples=6, deadline=None)
@given(commands, st.integers(0, 5))
def test_stretches_equal_the_plain_walk(
    script: dict[int, tuple[int, int, bool | None, int]], seed: int
) -> None:
    row = hand_row(busy=0.5, seed=seed)
    policy = Scripted({second: actions(*what) for second, what in script.items()})
    run = simulate(row, HandServer(), policy)
    finishes, power_w = reference(row, run)
    for own, finish in zip(run.requests, finishes, strict=True):
        np.testing.assert_allclose(own.finish_ns, finish[own.index], rtol=0, atol=100)
    np.testing.assert_allclose(run.power_w, power_w, rtol=1e-4, atol=0.05)


def test_the_policy_sees_the_mean_of_each_telemetry_period() -> None:
    policy = Scripted()
    run = simulate(hand_row(), HandServer(), policy)
    assert [second for second, _ in policy.seen] == list(range(2, RUN_S + 1, 2))
    means = run.power_w.reshape(-1, 2).mean(axis=1)
    np.testing.assert_allclose([watts for _, watts in policy.seen], means, rtol=1e-6)


def test_samples_are_asked_once_each_although_stretches_are_cut() -> None:
    policy = Scripted({at: (SetCap(at % 4, 700, 5 * SECOND_NS),) for at in range(1000, 3000, 34)})
    run = simulate(hand_row(), HandServer(), policy)
    assert [second for second, _ in policy.seen] == list(range(2, RUN_S + 1, 2))
    means = run.power_w.reshape(-1, 2).mean(axis=1)
    np.testing.assert_allclose([watts for _, watts in policy.seen], means, rtol=1e-6)


def test_the_brake_stands_above_caps_and_a_cap_above_nothing() -> None:
    script: dict[int, Sequence[Action]] = {
        100: (SetCap(0, 700, 40 * SECOND_NS), SetBrake(0, True, 5 * SECOND_NS)),
        200: (SetBrake(0, False, 5 * SECOND_NS),),
        300: (SetCap(0, 5000, 40 * SECOND_NS),),
    }
    run = simulate(hand_row(), HandServer(), Scripted(script))
    assert [(c.at_ns // SECOND_NS, c.servers, c.clock_mhz, c.braked) for c in run.commands] == [
        (105, (0,), 288, True),
        (140, (0,), 288, True),
        (205, (0,), 700, False),
        (340, (0,), CLOCK_MHZ_MAX, False),
    ]
    assert run.brakes == 1


def test_a_cap_costs_time_and_saves_power() -> None:
    row = hand_row()
    free = simulate(row, HandServer(), None)
    capped = simulate(
        row, HandServer(), Scripted({2: [SetCap(i, 700, SECOND_NS) for i in range(4)]})
    )
    assert capped.power_w.max() < free.power_w.max()
    for priority in Priority:
        assert np.median(capped.latency_s(priority)) > np.median(free.latency_s(priority))
        assert capped.tokens_per_busy_s(priority) < free.tokens_per_busy_s(priority)
        assert capped.capped_share(priority) == pytest.approx(1.0, abs=1e-3)
    assert free.capped_share(Priority.LOW) == 0.0


def test_the_same_seed_gives_the_same_run_and_every_policy_the_same_requests() -> None:
    row = hand_row()
    first, second = (simulate(row, HandServer(), power_policy(row)) for _ in range(2))
    np.testing.assert_array_equal(first.power_w, second.power_w)
    assert first.commands == second.commands
    free = simulate(row, HandServer(), None)
    for ours, theirs in zip(first.requests, free.requests, strict=True):
        both = min(len(ours.index), len(theirs.index))
        np.testing.assert_array_equal(ours.arrival_ns[:both], theirs.arrival_ns[:both])
    other = simulate(hand_row(seed=2), HandServer(), None)
    assert not np.array_equal(free.power_w, other.power_w)


def test_polca_keeps_a_small_row_below_its_limit_where_nothing_else_does() -> None:
    row = hand_row(servers=8, busy=0.9, provisioned_w=280.0)
    free = simulate(row, HandServer(), None)
    held = simulate(row, HandServer(), polca(row.provisioned_w, row.priorities()))
    assert free.statistics().peak > 1.0
    assert held.statistics().mean < free.statistics().mean
    assert held.policy == "polca"
    assert held.capped_share(Priority.LOW) >= held.capped_share(Priority.HIGH)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (SetClock(0, 1000, SECOND_NS), "only caps and the brake"),
        (SetCap(0, 1000, 0), "at least one bin"),
        (SetCap(4, 1000, SECOND_NS), "no server 4"),
        (SetCap(-1, 1000, SECOND_NS), "no server -1"),
        (SetCap(0, -1, SECOND_NS), "no clock of -1 MHz"),
    ],
)
def test_what_a_row_cannot_do_is_an_error(action: Action, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        simulate(hand_row(), HandServer(), Scripted({100: (action,)}))


def test_telemetry_that_does_not_fit_the_bins_is_an_error() -> None:
    policy = Scripted()
    policy.telemetry_ns = SECOND_NS // 2
    with pytest.raises(PolicyError, match="bins of 1 s"):
        simulate(hand_row(), HandServer(), policy)
