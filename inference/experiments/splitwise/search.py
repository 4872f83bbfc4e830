"""Searches over runs of one scenario: the highest rate, and the least machines, that the nine objectives hold at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from inference.errors import InferenceError
from inference.scenarios.build import simulate
from inference.scenarios.loader import load
from inference.scenarios.objectives import held, summary_of
from inference.sweep.designs import Split
from inference.sweep.rate import SloVerdict, highest_rate, one_by_one, rate_grid

RATES = rate_grid(5.0, 260.0, 1.0)
AUTHORS_RATES = rate_grid(10.0, 260.0, 10.0)
"""Loads of the authors' own runs: steps of 10 requests/s."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A scenario with what is changed in it.

    Attributes:
        scenario: name of a shipped one.
        overrides: assignments over it.
    """

    scenario: str
    overrides: tuple[str, ...] = ()

    def with_(self, *overrides: str) -> "Setting":
        """The same with more changed."""
        return replace(self, overrides=(*self.overrides, *overrides))

    def with_split(self, split: Split) -> "Setting":
        """The same with other numbers of machines."""
        return self.with_(
            f"replicas.prefill.count={split.prefill}", f"replicas.decode.count={split.decode}"
        )


@dataclass(slots=True)
class Spent:
    """What searches have taken so far.

    Attributes:
        runs: simulations.
        cpu_s: of them.
    """

    runs: int = 0
    cpu_s: float = 0.0


def holds(setting: Setting, spent: Spent) -> bool:
    """Whether all nine objectives hold in one run of the setting."""
    scenario = load(f"{setting.scenario}.toml", setting.overrides)
    run = simulate(scenario, setting.scenario)
    spent.runs += 1
    spent.cpu_s += run.cpu_s
    verdict = held(summary_of(scenario, run))
    if verdict is None:
        raise InferenceError(f"{setting.scenario} has no objectives to hold")
    return verdict


def highest(setting: Setting, spent: Spent, rates: Sequence[float] = RATES) -> float:
    """The highest of some rates in requests/s at which the objectives hold; 0 where none does."""

    def verdict(rate_per_s: float) -> SloVerdict:
        run = setting.with_(f"trace.rate_per_s={rate_per_s}")
        return SloVerdict(rate_per_s, holds(run, spent))

    return highest_rate(one_by_one(verdict), rates, confirm=0).rate_per_s or 0.0


def frontier(
    setting: Setting, decodes: Sequence[int], prefills_max: int, spent: Spent
) -> Iterator[Split]:
    """For each number of decode machines the least number of prefill machines that holds, where one does.

    More machines are taken never to harm, so each is found by bisection, below what fewer decode machines needed.
    """
    high = prefills_max
    for decode in decodes:
        least = _least_prefill(setting, decode, high, spent)
        if least is not None:
            high = least
            yield Split(least, decode)


def _least_prefill(setting: Setting, decode: int, high: int, spent: Spent) -> int | None:
    if not holds(setting.with_split(Split(high, decode)), spent):
        return None
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        if holds(setting.with_split(Split(middle, decode)), spent):
            high = middle
        else:
            low = middle
    return high
