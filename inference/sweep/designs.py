"""Which split of a cluster into prefill and decode machines is best: iso-power, iso-cost, iso-throughput.

Splitwise, section 5.4 and figures 16 to 18: for each kind of cluster the authors search the numbers of prompt and token
machines under a budget of power or cost, or for a given rate at the least of either.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inference.sweep.rate import SloVerdict


@dataclass(frozen=True, slots=True, order=True)
class Split:
    """Numbers of prefill and decode machines."""

    prefill: int
    decode: int

    def __str__(self) -> str:
        return f"{self.prefill}P{self.decode}T"


@dataclass(frozen=True, slots=True)
class Price:
    """What one prefill and one decode machine take of a budget, in any one unit (W, $/h, machines)."""

    prefill: float
    decode: float

    def of(self, split: Split) -> float:
        """What a whole cluster takes."""
        return split.prefill * self.prefill + split.decode * self.decode


EvaluateSplits = Callable[[Sequence[tuple[Split, float]]], Sequence[SloVerdict]]
"""Verdicts for pairs of split and rate, in their order; may run them side by side."""


@dataclass(frozen=True, slots=True)
class BestSplits:
    """What a search over splits found.

    Attributes:
        splits: those that hold at the rate, the least priced first; empty where none holds at the lowest.
        rate_per_s: highest rate that any split holds at; None where there is none.
        runs: verdicts that were asked for.
        held: highest rate that each split was seen to hold at, for those that held at any.
    """

    splits: tuple[Split, ...]
    rate_per_s: float | None
    runs: int
    held: Mapping[Split, float]


def splits_within(price: Price, budget: float) -> tuple[Split, ...]:
    """Splits that use a budget up: for each number of prefill machines the most decode machines that it leaves room for.

    Both numbers are at least 1. A split with fewer machines of either kind is never better, so none is listed.

    Raises:
        ValueError: a price is not positive, or the budget does not pay for one machine of each.
    """
    if price.prefill <= 0 or price.decode <= 0:
        raise ValueError("expected prices above 0")
    # A budget such as 40 * 1.75 must not lose a machine to a rounding error.
    slack = 1e-9 * max(abs(budget), 1.0)
    splits: list[Split] = []
    prefill = 1
    while (left := budget + slack - prefill * price.prefill) >= price.decode:
        splits.append(Split(prefill, int(left / price.decode)))
        prefill += 1
    if not splits:
        least = price.prefill + price.decode
        raise ValueError(f"expected a budget of at least {least:g}, found {budget:g}")
    # Where a decode machine costs more, one more prefill machine may come free: then the former split is the lesser.
    return tuple(
        split
        for split, after in zip(splits, [*splits[1:], None], strict=True)
        if after is None or after.decode < split.decode
    )


def best_splits(
    evaluate: EvaluateSplits, splits: Sequence[Split], rates: Sequence[float], price: Price
) -> BestSplits:
    """The splits that hold at the highest rate: bisection over rates, with those that failed where others held left out.

    Each split's verdicts are taken to be monotone in the rate. All candidates of a rate are asked for together.

    Raises:
        ValueError: no split, or rates that do not rise.
    """
    if not splits or not rates or any(a >= b for a, b in itertools.pairwise(rates)):
        raise ValueError("expected at least one split, and rates that rise")
    alive = list(dict.fromkeys(splits))
    low, high, runs = -1, len(rates), 0
    held: dict[Split, float] = {}
    while high - low > 1:
        middle = (low + high) // 2
        verdicts = evaluate([(split, rates[middle]) for split in alive])
        runs += len(alive)
        holding = [split for split, verdict in zip(alive, verdicts, strict=True) if verdict.held]
        held.update(dict.fromkeys(holding, rates[middle]))
        if holding:
            alive, low = holding, middle
        else:
            high = middle
    if low < 0:
        return BestSplits((), None, runs, {})
    ordered = tuple(sorted(alive, key=lambda split: (price.of(split), split)))
    return BestSplits(ordered, rates[low], runs, held)


def cheapest_splits(
    evaluate: EvaluateSplits, rate_per_s: float, price: Price, budgets: Sequence[float]
) -> BestSplits:
    """The least priced splits that hold at a rate (iso-throughput): bisection over a rising grid of budgets.

    Among splits within the lowest sufficient budget, those that cost least. A budget is taken to suffice where a lower
    one does, for its splits contain all of the lower one's.

    Raises:
        ValueError: budgets do not rise, or the lowest does not pay for one machine of each.
    """
    if not budgets or any(a >= b for a, b in itertools.pairwise(budgets)):
        raise ValueError("expected budgets that rise, at least one")
    known: dict[Split, bool] = {}
    low, high = -1, len(budgets)
    found: list[Split] = []
    while high - low > 1:
        middle = (low + high) // 2
        candidates = splits_within(price, budgets[middle])
        fresh = [split for split in candidates if split not in known]
        verdicts = evaluate([(split, rate_per_s) for split in fresh])
        known.update({split: verdict.held for split, verdict in zip(fresh, verdicts, strict=True)})
        holding = [split for split in candidates if known[split]]
        if holding:
            found, high = holding, middle
        else:
            low = middle
    ordered = tuple(sorted(found, key=lambda split: (price.of(split), split)))
    rate = rate_per_s if ordered else None
    return BestSplits(ordered, rate, len(known), dict.fromkeys(ordered, rate_per_s))
