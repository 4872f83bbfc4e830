"""The highest rate that objectives hold at, by sections of a grid of rates, with its neighbours confirmed.

A verdict is expected to hold up to some rate and to break beyond it; noise near that rate (a short trace, ties) may say
otherwise. The search therefore never trusts a single verdict: the rate that it gives holds, the next one breaks, and so
many rates below it as are asked for hold too. Rates above that hold nevertheless are reported, not claimed.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SloVerdict:
    """Whether objectives held in one run.

    Attributes:
        rate_per_s: of the run's arrivals.
        held: whether all of them did.
        broken: names of those that did not ("tbt_p50").
    """

    rate_per_s: float
    held: bool
    broken: tuple[str, ...] = ()


Evaluate = Callable[[Sequence[float]], Sequence[SloVerdict]]
"""Verdicts for rates, in their order; may run them side by side."""


@dataclass(frozen=True, slots=True)
class HighestRate:
    """What a search found.

    Attributes:
        rate_per_s: highest confirmed rate; None where not even the lowest one is.
        open_above: whether the highest rate of the grid holds, so that the true limit may be higher.
        islands_per_s: rates above that held although a lower one broke.
        verdicts: all that were asked for, by rate.
    """

    rate_per_s: float | None
    open_above: bool
    islands_per_s: tuple[float, ...]
    verdicts: tuple[SloVerdict, ...]


def one_by_one(run: Callable[[float], SloVerdict]) -> Evaluate:
    """Verdicts of a function of one rate, in turn."""
    return lambda rates: [run(rate) for rate in rates]


def rate_grid(low_per_s: float, high_per_s: float, step_per_s: float) -> tuple[float, ...]:
    """Rates from low to at most high.

    Raises:
        ValueError: low is not positive, high is below low, or the step is not positive.
    """
    if not (0 < low_per_s <= high_per_s and step_per_s > 0):
        raise ValueError("expected 0 < low <= high and a step above 0")
    # Rounded against sums such as 30.000000000000004, and so that a whole number of steps reaches high.
    count = int((high_per_s - low_per_s) / step_per_s + 1e-9) + 1
    return tuple(round(low_per_s + index * step_per_s, 9) for index in range(count))


def highest_rate(
    evaluate: Evaluate, rates: Sequence[float], *, probes: int = 1, confirm: int = 1
) -> HighestRate:
    """Search a rising grid of rates.

    The answer depends on the verdicts, the grid, `probes` and `confirm` alone; where verdicts are monotone, on neither of
    the latter two.

    Args:
        evaluate: gives verdicts; each rate is asked for once.
        rates: rising.
        probes: rates that are asked for at a time: 1 is bisection, more cut the grid into more sections.
        confirm: rates on either side of the limit that are asked for too.

    Raises:
        ValueError: the rates do not rise, or there are none, or no probe.
    """
    if not rates or any(a >= b for a, b in itertools.pairwise(rates)):
        raise ValueError("expected rates that rise, at least one")
    if probes < 1 or confirm < 0:
        raise ValueError("expected at least one probe, and no negative number of neighbours")
    known = _Known(evaluate, rates)
    held, broken = -1, len(rates)
    while broken - held > 1:
        known.ask(places := _between(held, broken, probes))
        # The lowest broken probe bounds from above, and only what is below it from below.
        failed = [place for place in places if not known.holds(place)]
        broken = min(failed, default=broken)
        held = max((place for place in places if place < broken), default=held)
    held = _confirmed_below(known, held, confirm)
    above = range(held + 1, min(held + 2 + confirm, len(rates)))
    known.ask([place for place in above if held >= 0])
    return HighestRate(
        rate_per_s=rates[held] if held >= 0 else None,
        open_above=held == len(rates) - 1,
        islands_per_s=tuple(rates[place] for place in known.held if place > held),
        verdicts=known.in_order(),
    )


class _Known:
    """Verdicts so far, by place in the grid."""

    def __init__(self, evaluate: Evaluate, rates: Sequence[float]) -> None:
        self._evaluate = evaluate
        self._rates = rates
        self._verdicts: dict[int, SloVerdict] = {}

    def ask(self, places: Sequence[int]) -> None:
        fresh = [place for place in places if place not in self._verdicts]
        if fresh:
            verdicts = self._evaluate([self._rates[place] for place in fresh])
            self._verdicts.update(zip(fresh, verdicts, strict=True))

    def holds(self, place: int) -> bool:
        return self._verdicts[place].held

    @property
    def held(self) -> list[int]:
        return sorted(place for place, verdict in self._verdicts.items() if verdict.held)

    def in_order(self) -> tuple[SloVerdict, ...]:
        return tuple(self._verdicts[place] for place in sorted(self._verdicts))


def _between(held: int, broken: int, probes: int) -> list[int]:
    """Up to `probes` places strictly between two, evenly spread."""
    inside = broken - held - 1
    count = min(probes, inside)
    return [held + (broken - held) * (index + 1) // (count + 1) for index in range(count)]


def _confirmed_below(known: _Known, held: int, confirm: int) -> int:
    """The highest place at or below `held` that holds together with `confirm` places below it."""
    while held >= 0:
        places = range(max(0, held - confirm), held + 1)
        known.ask(places)
        failed = [place for place in places if not known.holds(place)]
        if not failed:
            return held
        held = failed[0] - 1
    return -1
