"""Goal: at part load the explorer spends slack on lower clocks and smaller TPs, and no more than there is."""

import math

import numpy as np
import pytest

from inference.models.catalog import GPUS, MODELS
from inference.models.explorer import Candidate, Limits, candidate
from inference.models.load_explorer import cheapest_at, explore_load
from inference.models.steady_state import steady_state
from tests.unit.inference.power.fakes import FormLatency, FormPower

CLOCKS = (800, 1200, 1600, 1980)
RATES = (0.25, 1.0, 4.0)


def surface(lengths=((512, 128),), rates=RATES):
    replicas = [candidate(MODELS["llama2-70b"], GPUS["h100-80gb"], tp) for tp in (2, 4, 8)]
    return explore_load(replicas, CLOCKS, lengths, rates)


def test_a_row_is_the_steady_state():
    replica = Candidate(1, FormLatency(), FormPower(), 10_000)
    row = explore_load([replica], [1980], [(900, 100)], [1.5]).row(0)
    state = steady_state(FormLatency(), FormPower(), 900, 100, 1.5, 10)
    assert row["ttft_ms"] == state.ttft_ms
    assert row["power_w"] == state.power_w
    assert row["energy_j_per_request"] == state.power_w / 1.5
    assert row["e2e_ms"] == pytest.approx(state.ttft_ms + 99 * state.tbt_ms)


def test_tighter_objectives_cost_more_energy_and_lighter_loads_less_power():
    whole = surface()
    loose, tight = Limits(ttft_ms=5000, tbt_ms=200), Limits(ttft_ms=400, tbt_ms=60)
    for rate in RATES:
        relaxed, pressed = cheapest_at(whole, rate, loose), cheapest_at(whole, rate, tight)
        assert relaxed is not None
        if pressed is not None:
            assert relaxed["power_w"] <= pressed["power_w"]
            assert pressed["ttft_ms_p99"] <= 400
            assert pressed["tbt_ms_p99"] <= 60
    powers = [cheapest_at(whole, rate, loose) for rate in RATES]
    watts = [row["power_w"] for row in powers if row is not None]
    assert watts == sorted(watts)


def test_slack_is_spent_on_fewer_gpus_and_lower_clocks():
    row = cheapest_at(surface(), 0.25, Limits(ttft_ms=10_000, tbt_ms=500))
    assert row is not None
    assert (row["tp"], row["clock_mhz"]) == (2, 800)


def test_nothing_is_chosen_where_nothing_keeps_up():
    whole = surface(rates=(500.0,))
    assert not whole.feasible.any()
    assert cheapest_at(whole, 500.0, Limits()) is None
    assert np.isinf(whole.ttft_ms).all()


def test_means_may_hold_where_percentiles_do_not():
    whole = surface()
    limits = Limits(ttft_ms=float(np.min(whole.ttft_ms_p99)) * 0.9)
    assert cheapest_at(whole, 0.25, limits) is None
    assert cheapest_at(whole, 0.25, limits, p99=False) is not None


def test_idle_energy_per_request_is_endless():
    assert surface(rates=(0.0,)).energy_j_per_request.tolist() == [math.inf] * 12
    assert len(surface().where(np.array([0, 1]))) == 2


def test_a_request_larger_than_the_cache_is_not_feasible():
    replica = Candidate(1, FormLatency(), FormPower(), 100)
    assert not explore_load([replica], [1980], [(90, 20)], [0.1]).feasible[0]


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        explore_load([], CLOCKS, [(1, 1)], [1.0])
    with pytest.raises(ValueError, match="rate_per_s"):
        surface(rates=(-1.0,))
