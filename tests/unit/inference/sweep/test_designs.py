"""Goal: searches over splits agree with trying every split at every rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.sweep.designs import Price, Split, best_splits, cheapest_splits, splits_within
from inference.sweep.rate import SloVerdict


def capacity(split, per_prefill, per_decode):
    """A cluster is as fast as the slower of its two pools."""
    return min(split.prefill * per_prefill, split.decode * per_decode)


def evaluator(per_prefill, per_decode, asked=None):
    def evaluate(pairs):
        if asked is not None:
            asked.append(list(pairs))
        return [
            SloVerdict(rate, capacity(split, per_prefill, per_decode) >= rate)
            for split, rate in pairs
        ]

    return evaluate


def test_iso_power_splits_of_the_paper_are_among_those_within_the_budget():
    """40 DGX-H100 at 1.75 of a DGX-A100's power (Splitwise, table 5)."""
    budget = 40 * 1.75
    assert Split(45, 25) in splits_within(Price(1.0, 1.0), budget)
    assert Split(25, 15) in splits_within(Price(1.75, 1.75), budget)
    assert Split(25, 26) in splits_within(Price(1.75, 1.0), budget)
    assert Split(25, 21) in splits_within(Price(1.75, 1.23), budget)


PRICES = st.sampled_from([0.5, 1.0, 1.23, 1.75, 2.35, 3.0])


@given(PRICES, PRICES, st.floats(1, 60))
def test_splits_use_the_budget_up_and_none_is_missing(prefill, decode, budget):
    price = Price(prefill, decode)
    if budget < prefill + decode:
        with pytest.raises(ValueError, match="budget"):
            splits_within(price, budget)
        return
    splits = splits_within(price, budget)
    assert len(set(splits)) == len(splits)
    assert all(price.of(split) <= budget + 1e-6 for split in splits)
    for p in range(1, int(budget / prefill) + 1):
        for t in range(1, int(budget / decode) + 1):
            if price.of(Split(p, t)) <= budget:
                assert any(one.prefill >= p and one.decode >= t for one in splits)


@given(st.floats(0.5, 9), st.floats(0.5, 9), PRICES, PRICES, st.floats(8, 40))
def test_best_splits_agree_with_trying_all(per_prefill, per_decode, prefill, decode, budget):
    price = Price(prefill, decode)
    splits = splits_within(price, budget)
    rates = range(1, 80)
    found = best_splits(evaluator(per_prefill, per_decode), splits, rates, price)
    best = max(int(capacity(split, per_prefill, per_decode)) for split in splits)
    best = min(best, 79)
    assert found.rate_per_s == (best or None)
    if best:
        holding = {one for one in splits if capacity(one, per_prefill, per_decode) >= best}
        assert set(found.splits) == holding
        assert price.of(found.splits[0]) == min(price.of(split) for split in holding)
        assert all(
            rate <= capacity(one, per_prefill, per_decode) for one, rate in found.held.items()
        )


@given(st.floats(0.5, 9), st.floats(0.5, 9), PRICES, PRICES, st.integers(1, 50))
def test_cheapest_splits_agree_with_trying_all(per_prefill, per_decode, prefill, decode, rate):
    price = Price(prefill, decode)
    budgets = [prefill + decode + 0.25 * step for step in range(160)]
    found = cheapest_splits(evaluator(per_prefill, per_decode), rate, price, budgets)
    p, t = -(-rate // per_prefill), -(-rate // per_decode)
    least = price.of(Split(int(max(p, 1)), int(max(t, 1))))
    if least > budgets[-1] + 1e-6:
        assert found.rate_per_s is None
        assert found.splits == ()
    elif found.splits:
        assert capacity(found.splits[0], per_prefill, per_decode) >= rate
        assert price.of(found.splits[0]) <= least + 0.25 + 1e-6
    else:
        assert least > budgets[-1] - 1e-6


def test_all_candidates_of_a_rate_are_asked_for_together():
    asked: list[list[tuple[Split, float]]] = []
    splits = splits_within(Price(1, 1), 10)
    best_splits(evaluator(1, 1, asked), splits, range(1, 9), Price(1, 1))
    assert len(asked[0]) == len(splits) == 9
    assert len(asked) <= 4


def test_no_split_at_the_lowest_rate():
    found = best_splits(evaluator(0.01, 1), [Split(1, 1)], [1, 2], Price(1, 1))
    assert (found.splits, found.rate_per_s) == ((), None)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="rise"):
        best_splits(evaluator(1, 1), [Split(1, 1)], [2, 1], Price(1, 1))
    with pytest.raises(ValueError, match="split"):
        best_splits(evaluator(1, 1), [], [1], Price(1, 1))
    with pytest.raises(ValueError, match="rise"):
        cheapest_splits(evaluator(1, 1), 1, Price(1, 1), [3, 2])
    with pytest.raises(ValueError, match="above 0"):
        splits_within(Price(0, 1), 3)
