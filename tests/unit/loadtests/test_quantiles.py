import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.quantiles import Spread, cumulative, paired_ratio, quantile, spread

samples = st.lists(st.integers(0, 10**9), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, 10), (0.2, 10), (0.21, 20), (0.5, 30), (0.9, 50), (0.99, 50), (1, 50)],
)
def test_quantile_is_nearest_rank(share: float, expected: int) -> None:
    assert quantile([50, 10, 40, 20, 30], share) == expected


def test_quantile_of_a_hundred() -> None:
    assert quantile(range(1, 101), 0.99) == 99
    assert quantile(range(1, 1001), 0.999) == 999


@given(samples, st.integers(0, 10_000))
def test_quantile_is_a_sample_with_that_share_below(values: list[int], scaled: int) -> None:
    share = scaled / 10_000
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) * 10_000 >= scaled * len(values)
    assert sum(value < found for value in values) * 10_000 <= scaled * len(values)


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1], -0.1), ([1], 1.1)])
def test_quantile_refuses(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match=r"quantile|share"):
        quantile(values, share)


def test_paired_ratio_compares_within_a_round() -> None:
    # The machine was half as fast in the second round: a ratio of medians would be 250 / 150.
    assert paired_ratio([200, 400, 100], [100, 200, 100]) == 2
    assert paired_ratio([1, 2], [1, -1]) is None


@pytest.mark.parametrize(("values", "baselines"), [([], []), ([1], [])])
def test_paired_ratio_refuses(values: list[float], baselines: list[float]) -> None:
    with pytest.raises(ValueError, match="pair up"):
        paired_ratio(values, baselines)


def test_spread() -> None:
    found = spread([3, 1, 2, 10])
    assert found == Spread(2.5, 1, 10, 4)


@given(samples)
def test_cumulative_rises_to_one(values: list[int]) -> None:
    points = cumulative(values, points=20)
    shares = [share for _, share in points]
    assert [value for value, _ in points] == sorted(value for value, _ in points)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert max(value for value, _ in points) == max(values)
    assert len(points) <= 42


def test_cumulative_of_nothing() -> None:
    assert not cumulative([])
