import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.policies.dynamo.milp import Option, Outcome, solve

IDLE_W = 70.0


def _options(loads: dict[int, float]) -> list[Option]:
    made = []
    for tp, most in loads.items():
        made += [
            Option(tp, most * share, tp * (IDLE_W + 100 + 300 * share))
            for share in (0.25, 0.5, 1.0)
        ]
    return made


def _brute(options: list[Option], gpus: int, load: float) -> float | None:
    best = None
    ranges = [range(gpus // option.tp + 1) for option in options]
    for counts in itertools.product(*ranges):
        if sum(n * o.tp for n, o in zip(counts, options, strict=True)) > gpus or not any(counts):
            continue
        if sum(n * o.load_per_s for n, o in zip(counts, options, strict=True)) < load:
            continue
        power = gpus * IDLE_W + sum(
            n * (o.power_w - o.tp * IDLE_W) for n, o in zip(counts, options, strict=True)
        )
        best = power if best is None else min(best, power)
    return best


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([4, 8]),
    st.floats(0.1, 3.0),
    st.floats(1.0, 8.0),
    st.floats(2.0, 20.0),
    st.floats(0.0, 15.0),
)
def test_it_is_as_good_as_trying_everything(gpus, two, four, eight, load):
    options = [o for o in _options({2: two, 4: four, 8: eight}) if o.tp <= gpus][::2]
    best = _brute(options, gpus, load)
    answer = solve(options, gpus, load, IDLE_W)
    if best is None:
        assert answer.outcome is Outcome.SATURATED
    else:
        assert answer.power_w == pytest.approx(best, rel=2e-3)
        assert sum(o.load_per_s * n for o, n in answer.counts) >= load - 1e-6
        assert sum(o.tp * n for o, n in answer.counts) <= gpus


def test_little_load_takes_few_gpus_and_much_load_takes_the_large_replica():
    options = _options({2: 1.0, 4: 4.0, 8: 12.0})
    assert solve(options, 8, 0.2, IDLE_W).replicas() == {2: 1}
    assert solve(options, 8, 11.0, IDLE_W).replicas() == {8: 1}


def test_a_pool_without_load_still_has_a_replica():
    assert solve(_options({2: 1.0, 8: 12.0}), 16, 0.0, IDLE_W).replicas() == {2: 1}


def test_too_much_load_fills_the_gpus():
    answer = solve(_options({2: 1.0, 8: 12.0}), 18, 100.0, IDLE_W)
    assert answer.outcome is Outcome.SATURATED
    assert answer.replicas() == {8: 2, 2: 1}


def test_no_fitting_replica_is_an_error():
    with pytest.raises(ValueError, match="fits"):
        solve(_options({8: 1.0}), 4, 0.0, IDLE_W)
