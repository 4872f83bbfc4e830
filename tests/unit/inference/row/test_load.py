import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.domain.request import Priority
from inference.row.load import MINUTE_NS, LoadShape, arrivals_ns
from inference.row.workload import EVALUATION_MIX, servers_by_workload


def test_the_load_swings_by_day_and_rests_at_weekends() -> None:
    shape = LoadShape(0.8, 0.4, peak_hour=14.0, weekend=0.5, noise=0.0, first_weekday=4)
    busy = shape.busy(3 * 1440, np.random.default_rng(0))
    assert busy[14 * 60] == pytest.approx(0.8)
    assert busy[2 * 60] == pytest.approx(0.4)
    assert busy[1440 + 14 * 60] == pytest.approx(0.4), "the second day is a Saturday"


def test_slow_noise_has_its_deviation_and_forgets() -> None:
    shape = LoadShape(0.5, 0.5, weekend=1.0, noise=0.05, noise_minutes=30.0)
    noise = shape.busy(100_000, np.random.default_rng(1)) / 0.5 - 1.0
    assert noise.std() == pytest.approx(0.05, rel=0.1)
    assert np.corrcoef(noise[:-30], noise[30:])[0, 1] == pytest.approx(np.exp(-1.0), abs=0.1)


@pytest.mark.parametrize(("rows", "spread"), [(1, 1.0), (16, 0.25), (64, 0.125)])
def test_arrivals_follow_the_rate_and_are_the_more_even_the_more_rows_share(
    rows: int, spread: float
) -> None:
    per_minute = np.full(2000, 30.0)
    arrivals = arrivals_ns(per_minute, rows, np.random.default_rng(2))
    assert len(arrivals) == pytest.approx(60_000, rel=0.02)
    assert np.all(np.diff(arrivals) >= 0)
    gaps = np.diff(arrivals)
    assert gaps.std() / gaps.mean() == pytest.approx(spread, rel=0.05)


def test_a_minute_without_load_has_no_arrivals() -> None:
    arrivals = arrivals_ns(np.array([50.0, 0.0, 50.0]), 4, np.random.default_rng(3))
    assert not np.any((arrivals > MINUTE_NS) & (arrivals < 2 * MINUTE_NS))
    assert arrivals_ns(np.zeros(5), 1, np.random.default_rng(3)).size == 0


def test_bursts_come_within_a_second() -> None:
    shape = LoadShape(0.5, 0.5, bursts_per_day=4.0, burst_per_server=2.0)
    rng = np.random.default_rng(4)
    bursts = shape.bursts_ns(50 * 1440, rng)
    assert len(bursts) == pytest.approx(200, rel=0.3)
    arrivals = shape.burst_arrivals_ns(bursts, 10, rng)
    assert len(arrivals) == pytest.approx(20 * len(bursts), rel=0.1)
    since = arrivals - bursts[np.searchsorted(bursts, arrivals, side="right") - 1]
    assert since.max() < 1_000_000_000


@given(st.integers(4, 500))
def test_every_server_has_a_workload(servers: int) -> None:
    counts = servers_by_workload(EVALUATION_MIX, servers)
    assert sum(counts) == servers
    assert max(counts) - min(counts) <= 1


def test_the_evaluation_mix_is_the_papers() -> None:
    low = sum(own.share for own in EVALUATION_MIX if own.priority is Priority.LOW)
    assert low == 0.5
    prompts, outputs = EVALUATION_MIX[0].lengths(5000, np.random.default_rng(5))
    assert (prompts.min(), prompts.max()) == pytest.approx((2048, 8192), rel=0.01)
    assert (outputs.min(), outputs.max()) == pytest.approx((256, 512), rel=0.02)
