"""Goal: percentiles are NumPy's, and failed requests, as infinities, sort last."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.results.distribution import distribution_of, quantiles

FINITE = st.floats(-1e15, 1e15)


@given(st.lists(FINITE, min_size=1, max_size=300))
def test_percentiles_are_numpys(values):
    told = distribution_of(np.array(values))
    wanted = np.percentile(values, [50, 90, 99])
    assert [told.p50, told.p90, told.p99] == pytest.approx(list(wanted), rel=1e-9, abs=1e-6)
    assert told.mean == pytest.approx(np.mean(values))
    assert told.count == len(values)


@given(st.lists(st.integers(0, 2**53), min_size=1, max_size=300))
def test_percentiles_of_whole_numbers_are_numpys(values):
    array = np.array(values, dtype=np.int64)
    wanted = np.percentile(array, [0, 50, 90, 99, 100])
    assert quantiles(array, (0, 0.5, 0.9, 0.99, 1)) == pytest.approx(list(wanted))


@given(st.lists(FINITE | st.just(math.inf), min_size=1, max_size=100))
def test_percentiles_rise_and_stay_within_the_values(values):
    told = distribution_of(np.array(values))
    assert min(values) <= told.p50 <= told.p90 <= told.p99 <= max(values)


@given(st.integers(1, 400), st.integers(0, 400))
def test_a_percentile_is_infinite_exactly_when_it_reaches_a_failure(good, failed):
    values = np.array([1.0] * good + [math.inf] * failed)
    last = good + failed - 1
    reached = math.ceil(0.99 * last) > good - 1
    assert math.isinf(distribution_of(values).p99) == reached


@given(st.permutations(list(range(50))))
def test_order_does_not_matter(values):
    assert distribution_of(np.array(values)) == distribution_of(np.arange(50))


def test_the_input_is_left_as_it_was():
    values = np.array([3, 1, 2])
    distribution_of(values)
    assert values.tolist() == [3, 1, 2]


def test_values_are_told_in_the_unit_asked_for():
    told = distribution_of(np.array([1_000_000, 3_000_000]), per=1e6)
    assert (told.mean, told.p50) == (2.0, 2.0)


def test_no_values_are_no_number():
    told = distribution_of(np.array([]))
    assert told.count == 0
    assert all(math.isnan(one) for one in (told.mean, told.p50, told.p90, told.p99))


def test_nan_has_no_place_in_an_order():
    with pytest.raises(ValueError, match="no NaN"):
        distribution_of(np.array([1.0, math.nan]))
    with pytest.raises(ValueError, match="at least one value"):
        quantiles(np.array([]), (0.5,))
