"""Goal: the fixed point agrees with a replica that is simulated request by request, and says when it cannot keep up."""

import math
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.models.steady_state import PREFILL_TOKENS_MAX, steady_state
from tests.unit.inference.power.fakes import FormLatency, FormPower


def simulated(latency, power, prompt, output, rate, batch_max, requests, seed):
    """Means of TTFT, TBT (ms) and power by playing prefill-first continuous batching."""
    source = random.Random(seed)
    arrivals, now = [], 0.0
    for _ in range(requests):
        now += source.expovariate(rate) * 1e9
        arrivals.append(now)
    waiting: deque[float] = deque()
    running: list[list[float]] = []  # [tokens left, time of the first token]
    ttft: list[float] = []
    tbt: list[float] = []
    energy, at, following = 0.0, 0.0, 0
    most = max(1, PREFILL_TOKENS_MAX // prompt)
    while len(tbt) < requests:
        while following < requests and arrivals[following] <= at:
            waiting.append(arrivals[following])
            following += 1
        if waiting and len(running) < batch_max:
            taken = [waiting.popleft() for _ in range(min(most, len(waiting)))]
            time = latency.prefill_ns(len(taken) * prompt, 0)
            energy += time * power.prefill_w(len(taken) * prompt)
            at += time
            ttft += [at - one for one in taken]
            running += [[output - 1, at] for _ in taken]
        elif running:
            context = sum(prompt + output - left for left, _ in running)
            time = latency.decode_ns(len(running), context, 1)
            energy += time * power.decode_w(len(running), context)
            at += time
            for one in running:
                one[0] -= 1
            tbt += [(at - first) / (output - 1) for left, first in running if left == 0]
            running = [one for one in running if one[0] > 0]
        else:
            energy += (arrivals[following] - at) * power.idle_w
            at = arrivals[following]
    return sum(ttft) / len(ttft) / 1e6, sum(tbt) / len(tbt) / 1e6, energy / at


@pytest.mark.parametrize(
    ("prompt", "output", "rate"),
    [
        (100, 50, 2.0),
        (100, 50, 20.0),
        (600, 200, 1.0),
        (600, 200, 6.0),
        (3000, 100, 0.5),
        (3000, 400, 2.0),
    ],
)
def test_it_agrees_with_a_simulated_replica(prompt, output, rate):
    latency, power = FormLatency(), FormPower()
    ttft, tbt, power_w = simulated(latency, power, prompt, output, rate, 256, 1500, seed=7)
    state = steady_state(latency, power, prompt, output, rate, 256)
    assert state.feasible
    assert state.ttft_ms == pytest.approx(ttft, rel=0.15)
    assert state.tbt_ms == pytest.approx(tbt, rel=0.08)
    assert state.power_w == pytest.approx(power_w, rel=0.05)


def test_an_idle_replica_draws_idle_power_and_answers_at_once():
    state = steady_state(FormLatency(), FormPower(), 1000, 100, 0.0, 64)
    assert state.feasible
    assert state.power_w == pytest.approx(100.0)
    assert state.ttft_ms == pytest.approx(80.0)
    assert state.energy_j(0.0) == math.inf


def test_one_output_token_needs_no_decode():
    state = steady_state(FormLatency(), FormPower(), 1000, 1, 5.0, 64)
    assert state.feasible
    assert (state.batch, state.tbt_ms, state.decode_share) == (0.0, 0.0, 0.0)


def test_more_prompts_than_can_be_prefilled_are_not_feasible():
    state = steady_state(FormLatency(), FormPower(), 3000, 10, 6.0, 64)
    assert not state.feasible
    assert state.ttft_ms == math.inf
    assert state.power_w == pytest.approx(700.0)


def test_more_decodes_than_fit_are_not_feasible_and_keep_the_replica_busy():
    state = steady_state(FormLatency(), FormPower(), 100, 400, 30.0, 64)
    assert not state.feasible
    assert state.batch == 64
    assert state.prefill_share + state.decode_share == pytest.approx(1.0)


@pytest.mark.parametrize(
    "bad", [(0, 1, 1.0, 1), (1, 0, 1.0, 1), (1, 1, -1.0, 1), (1, 1, math.nan, 1), (1, 1, 1.0, 0)]
)
def test_sizes_and_rates_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        steady_state(FormLatency(), FormPower(), *bad)


@given(
    prompt=st.integers(1, 8192),
    output=st.integers(1, 2000),
    rate=st.floats(0.0, 50.0),
    more=st.floats(0.001, 5.0),
)
def test_more_load_never_helps(prompt, output, rate, more):
    latency, power = FormLatency(), FormPower()
    light = steady_state(latency, power, prompt, output, rate, 128)
    heavy = steady_state(latency, power, prompt, output, rate + more, 128)
    assert light.feasible >= heavy.feasible
    assert 0 <= light.prefill_share + light.decode_share <= 1 + 1e-9
    if heavy.feasible:
        assert heavy.power_w >= light.power_w - 1e-6
        assert heavy.tbt_ms >= light.tbt_ms - 1e-6
        assert heavy.batch >= light.batch - 1e-6


@given(rate=st.floats(0.01, 5.0), clock=st.integers(800, 1979))
def test_a_lower_clock_is_never_faster(rate, clock):
    fast = steady_state(FormLatency(), FormPower(), 700, 200, rate, 256)
    slow = steady_state(FormLatency().at_clock(clock), FormPower(), 700, 200, rate, 256)
    assert slow.tbt_ms >= fast.tbt_ms
    assert slow.ttft_ms >= fast.ttft_ms
