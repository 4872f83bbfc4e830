"""Goal: energy is neither lost nor made: shares, idle time and series add up to the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.models.energy import (
    EnergyAccount,
    PowerSeries,
    allocate,
    energy_j,
    joules_per_token,
    kilowatt_hours,
    power_series,
    summed,
    watt_hours,
)

watts = st.floats(0, 10_000)


@st.composite
def all_series(draw):
    steps = draw(st.lists(st.integers(1, 10**12), min_size=1, max_size=20))
    start = draw(st.integers(0, 10**12))
    values = draw(st.lists(watts, min_size=len(steps), max_size=len(steps)))
    edges = start + np.concatenate(([0], np.cumsum(np.array(steps, dtype=np.int64))))
    return PowerSeries(edges, np.array(values))


def test_units():
    assert energy_j(700.0, 2_000_000_000) == 1400.0
    assert watt_hours(7200.0) == 2.0
    assert kilowatt_hours(3.6e6) == 1.0
    assert joules_per_token(10.0, 4) == 2.5
    with pytest.raises(ValueError, match="tokens"):
        joules_per_token(10.0, 0)


@given(joules=st.floats(0, 1e9), tokens=st.lists(st.integers(0, 8192), min_size=1, max_size=64))
def test_shares_of_an_iteration_sum_to_it(joules, tokens):
    if sum(tokens) == 0:
        with pytest.raises(ValueError, match="positive"):
            allocate(joules, tokens)
        return
    shares = allocate(joules, tokens)
    assert sum(shares) == pytest.approx(joules)
    for share, count in zip(shares, tokens, strict=True):
        assert share == pytest.approx(joules * count / sum(tokens))


@pytest.mark.parametrize("tokens", [[], [-1, 5]])
def test_shares_need_tokens(tokens):
    with pytest.raises(ValueError, match="tokens"):
        allocate(1.0, tokens)


iterations = st.lists(
    st.tuples(
        watts,
        st.integers(1, 10**10),
        st.dictionaries(st.integers(0, 9), st.integers(1, 4096), max_size=6),
    ),
    max_size=40,
)


@given(iterations)
def test_requests_and_idle_time_are_the_whole(history):
    account, edges, powers = EnergyAccount(), [0], []
    for power_w, duration_ns, tokens in history:
        if tokens:
            account.charge(power_w, duration_ns, tokens.items())
        else:
            account.rest(power_w, duration_ns)
        edges.append(edges[-1] + duration_ns)
        powers.append(power_w)
    whole = PowerSeries(np.array(edges), np.array(powers)).energy_j if powers else 0.0
    assert account.idle_j + sum(account.requests_j.values()) == pytest.approx(whole)
    assert account.total_j == pytest.approx(whole)


@given(all_series(), st.integers(10**9, 10**13))
def test_resampling_keeps_the_energy(series, period_ns):
    again = series.resampled(max(period_ns, int(series.edge_ns[-1] - series.edge_ns[0]) // 200 + 1))
    assert again.energy_j == pytest.approx(series.energy_j, rel=1e-6, abs=1e-6)
    assert again.power_w.max() <= series.power_w.max() + 1e-3


@given(st.lists(all_series(), min_size=1, max_size=4))
def test_series_together_have_the_energy_of_each(several):
    assert summed(several).energy_j == pytest.approx(sum(one.energy_j for one in several), abs=1e-6)


def test_samples_become_a_series():
    series = power_series(500_000_000, [100.0, 300.0], start_ns=7)
    assert series.energy_j == 200.0
    assert series.energy_until_j([0, 7, 500_000_007, 10**12]).tolist() == [0.0, 0.0, 50.0, 200.0]


@pytest.mark.parametrize(
    ("edges", "power"),
    [([0, 1], [1.0, 2.0]), ([0, 0], [1.0]), ([1, 0], [1.0]), ([0, 1], [np.nan])],
)
def test_broken_series_are_refused(edges, power):
    with pytest.raises(ValueError, match=r"edge|finite"):
        PowerSeries(np.array(edges), np.array(power))


def test_nothing_to_sum_and_no_period_are_refused():
    with pytest.raises(ValueError, match="one series"):
        summed([])
    with pytest.raises(ValueError, match="period_ns"):
        power_series(10, [1.0]).resampled(0)
