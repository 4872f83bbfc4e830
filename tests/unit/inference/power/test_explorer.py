"""Goal: the explorer's surfaces follow from times and powers, and its cheapest setting is the cheapest there is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.models.catalog import GPUS, MODELS
from inference.models.explorer import (
    Candidate,
    Limits,
    best_clock,
    cheapest,
    explore,
    explore_model,
)
from inference.models.power import power_model
from tests.unit.inference.power.fakes import FormLatency, FormPower

CLOCKS = (800, 1000, 1200, 1400, 1600, 1800, 1980)


def flat(tokens_max=100_000):
    return Candidate(4, FormLatency(), FormPower(), tokens_max)


def h100(tp):
    power = power_model(MODELS["llama2-70b"], GPUS["h100-80gb"], tp)
    return Candidate(tp, FormLatency(decode_base_ms=100 / tp + 15), power, 200_000)


def test_one_point_by_hand():
    """Four prompts of 1,000 tokens: two prefills of 2,000 at 140 ms; 9 gaps at batch 4."""
    one = explore([flat()], [1980], [4], [(1000, 10)]).row(0)
    gap_ms = 25 + 0.4 + 0.00005 * (4 * 1001 + 4 * 4)
    assert one["ttft_ms"] == pytest.approx(280.0)
    assert one["tbt_ms"] == pytest.approx(gap_ms)
    assert one["e2e_ms"] == pytest.approx(280 + 9 * gap_ms)
    joules = (280 * 700 + 9 * gap_ms * 400) / 1000
    assert one["energy_j_per_request"] == pytest.approx(joules / 4)
    assert one["energy_j_per_token"] == pytest.approx(joules / 40)
    assert one["energy_j_while_there"] == pytest.approx(one["power_w"] * one["e2e_ms"] / 1000)
    assert one["tokens_per_s"] == pytest.approx(40 / one["e2e_ms"] * 1000)
    assert one["decode_j_per_token"] == pytest.approx(400 * gap_ms / 4 / 1000)


def test_a_rest_of_prompts_is_prefilled_too():
    assert explore([flat()], [1980], [3], [(1000, 1)]).row(0)["ttft_ms"] == pytest.approx(140 + 80)
    assert explore([flat()], [1980], [2], [(3000, 1)]).row(0)["ttft_ms"] == pytest.approx(400)
    assert explore([flat()], [1980], [2], [(3000, 1)]).row(0)["tbt_ms"] == 0.0


def test_what_does_not_fit_is_marked_and_never_chosen():
    surface = explore([flat(tokens_max=1500)], [1980], [1, 2], [(900, 100)])
    assert surface.fits.tolist() == [True, False]
    chosen = cheapest(surface, Limits())
    assert chosen is not None
    assert chosen["batch"] == 1


@given(
    ttft=st.floats(50, 2000),
    tbt=st.floats(20, 60),
    rate=st.floats(0, 1000),
    by=st.sampled_from(["energy_j_per_token", "power_w", "energy_j_while_there", "e2e_ms"]),
)
def test_the_cheapest_holds_the_limits_and_nothing_that_does_is_cheaper(ttft, tbt, rate, by):
    surface = explore([h100(2), h100(4), h100(8)], CLOCKS, [1, 8, 32], [(512, 128)])
    limits = Limits(ttft_ms=ttft, tbt_ms=tbt, tokens_per_s_min=rate)
    chosen = cheapest(surface, limits, by)
    holds = [
        row
        for row in map(surface.row, range(len(surface)))
        if row["ttft_ms"] <= ttft
        and row["tbt_ms"] <= tbt
        and row["tokens_per_s"] >= rate
        and row["fits"]
    ]
    if chosen is None:
        assert holds == []
    else:
        assert chosen in holds
        assert chosen[by] == min(row[by] for row in holds)


def test_energy_over_the_clock_bends_inside_its_range_and_power_does_not():
    surface = explore([h100(8)], CLOCKS, [32], [(512, 256)])
    decode = surface.decode_j_per_token
    lowest = int(np.argmin(decode))
    assert 0 < lowest < len(CLOCKS) - 1
    assert (np.diff(surface.power_w) > 0).all()
    assert best_clock(surface, "decode_j_per_token").clock_mhz.tolist() == [CLOCKS[lowest]]


def test_best_clock_gives_one_row_for_each_other_setting():
    surface = explore([h100(4), h100(8)], CLOCKS, [1, 8], [(128, 64), (1024, 64)])
    best = best_clock(surface)
    assert len(best) == 8
    for row in map(best.row, range(8)):
        same = surface.at(**{key: int(row[key]) for key in ("tp", "batch", "prompt_tokens")})
        assert row["energy_j_per_token"] == same.energy_j_per_token.min()


def test_trends_of_the_characterisation():
    """Greener LLMs, in words: batch and TP against throughput, latency, power and energy."""
    surface = explore_model(
        tps=(4, 8), clocks_mhz=(1400, 1980), batches=(1, 4, 16, 64), lengths=((512, 128),)
    )
    over_batch = surface.at(tp=8, clock_mhz=1980)
    for rising in ("tokens_per_s", "power_w", "ttft_ms", "tbt_ms"):
        assert (np.diff(getattr(over_batch, rising)) > 0).all(), rising
    assert (np.diff(over_batch.energy_j_per_token) < 0).all()
    small, large = (
        surface.at(tp=4, clock_mhz=1980, batch=1),
        surface.at(tp=8, clock_mhz=1980, batch=1),
    )
    assert large.power_w[0] > small.power_w[0]
    assert large.energy_j_per_token[0] > small.energy_j_per_token[0]
    slow, fast = (
        surface.at(tp=8, clock_mhz=1400, batch=16),
        surface.at(tp=8, clock_mhz=1980, batch=16),
    )
    assert slow.ttft_ms[0] / fast.ttft_ms[0] > slow.tbt_ms[0] / fast.tbt_ms[0] > 1


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        explore([flat()], [1980], [0], [(1, 1)])
    with pytest.raises(ValueError, match="at least one candidate"):
        explore([], [1980], [1], [(1, 1)])
    with pytest.raises(ValueError, match="found 'joules'"):
        cheapest(explore([flat()], [1980], [1], [(1, 1)]), Limits(), "joules")
