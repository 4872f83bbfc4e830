"""Goal: adding power up loses nothing, however finely it is sampled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.meters.integral import PowerIntegral

SAMPLES = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**10)), min_size=1, max_size=30
)


def test_trapezoids():
    integral = PowerIntegral()
    assert integral.add(100_000, 5_000_000_000) == 0
    assert integral.add(100_000, 6_000_000_000) == 100_000_000
    assert integral.add(300_000, 7_000_000_000) == 300_000_000
    assert integral.energy_uj == 300_000_000


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_constant_power_is_exact_whatever_the_sampling(power_mw, gaps):
    integral, now = PowerIntegral(), 0
    integral.add(power_mw, 0)
    for gap in gaps:
        now += gap
        integral.add(power_mw, now)
    assert integral.energy_uj == power_mw * now // 1_000_000


@given(SAMPLES)
def test_energy_never_falls(samples):
    integral, now, last = PowerIntegral(), 0, 0
    for power_mw, gap in samples:
        now += gap
        energy = integral.add(power_mw, now)
        assert energy >= last
        last = energy


def test_time_going_back_and_negative_power_are_refused():
    integral = PowerIntegral()
    integral.add(1, 10)
    with pytest.raises(ValueError, match="go back"):
        integral.add(1, 9)
    with pytest.raises(ValueError, match="not negative"):
        integral.add(-1, 11)
