"""`jsim provision`: the highest rate under the objectives, for one cluster or over all splits of a budget."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from rich.table import Table
from rich.text import Text

from inference.cli.session import CommandError, announce, out, pieces_done, print_json
from inference.scenarios.loader import load
from inference.scenarios.spec import Scenario
from inference.sweep.designs import BestSplits, Split, best_splits, cheapest_splits, splits_within
from inference.sweep.price import By, budget_of, split_groups, split_price
from inference.sweep.processes import Processes
from inference.sweep.rate import HighestRate, SloVerdict, highest_rate, rate_grid
from inference.sweep.work import Outcome, Task, outcome_of

BUDGET_STEPS = 200


@dataclass(frozen=True, slots=True)
class Search:
    """What every provisioning search is told.

    Attributes:
        scenario: file or name.
        overrides: over it; the objectives among them.
        rates: grid of rates.
        probes, confirm: as in `highest_rate`.
        jobs: runs at a time.
        as_json: print JSON instead of tables.
    """

    scenario: str
    overrides: tuple[str, ...]
    rates: tuple[float, ...]
    probes: int
    confirm: int
    jobs: int
    as_json: bool


Judge = Callable[[Sequence[tuple[tuple[str, ...], float]]], list[SloVerdict]]
"""Verdicts for pairs of further overrides and rate."""


def grid_of(low: float, high: float, step: float) -> tuple[float, ...]:
    """The rates of a search.

    Raises:
        CommandError: they do not rise.
    """
    try:
        return rate_grid(low, high, step)
    except ValueError as error:
        raise CommandError(f"--low, --high, --step: {error}") from None


def provision(search: Search) -> None:
    """Print the highest rate that the scenario's cluster holds its objectives at."""
    _begin(search)
    with _judge(search) as judge:
        found = _highest(search, judge, ())
    if search.as_json:
        print_json(msgspec.json.encode(found).decode())
        return
    _print_verdicts(found.verdicts)
    _print_highest(found, search)


def provision_splits(search: Search, by: By, budget: str, around: int) -> None:
    """Print the splits within a budget that hold the objectives at the highest rate (iso-power, iso-cost).

    Args:
        search: scenario and grid.
        by: what the budget counts.
        budget: as `budget_of` reads it.
        around: only splits whose prefill machines differ from the scenario's by at most this; 0 for all.
    """
    scenario = _begin(search)
    price, limit = split_price(scenario, by), budget_of(budget, scenario, by)
    try:
        splits = splits_within(price, limit)
    except ValueError as error:
        raise CommandError(f"--budget: {error}") from None
    if around:
        own = scenario.replicas[split_groups(scenario)[0]].count
        splits = tuple(split for split in splits if abs(split.prefill - own) <= around)
        if not splits:
            raise CommandError(f"--around: no split within {around} of {own} prefill machines")
    with _judge(search) as judge:
        found = best_splits(_of_splits(judge, scenario), splits, search.rates, price)
        # The search took verdicts to be monotone: the winner's neighbouring rates are confirmed.
        confirmed = None
        if found.splits:
            confirmed = _highest(search, judge, _counts(scenario, found.splits[0]))
    if search.as_json:
        print_json(msgspec.json.encode({"best": _plain(found), "confirmed": confirmed}).decode())
        return
    title = f"iso-{by}, budget {limit:,.4g}: {len(splits)} splits, {found.runs} runs"
    _print_splits(found, price.of, by, title)
    if confirmed is not None:
        out.print(Text(f"{found.splits[0]}, rate by rate:"))
        _print_verdicts(confirmed.verdicts)
        _print_highest(confirmed, search)


def provision_cheapest(search: Search, by: By, rate_per_s: float, budget: str) -> None:
    """Print the least splits that hold the objectives at a rate (iso-throughput)."""
    scenario = _begin(search)
    price, limit = split_price(scenario, by), budget_of(budget, scenario, by)
    step = max(min(price.prefill, price.decode), limit / BUDGET_STEPS)
    least = price.prefill + price.decode
    if limit < least:
        raise CommandError(f"--budget: expected at least {least:g}, found {limit:g}")
    count = int((limit - least) / step + 1e-9) + 1
    budgets = [least + index * step for index in range(count)]
    with _judge(search) as judge:
        found = cheapest_splits(_of_splits(judge, scenario), rate_per_s, price, budgets)
    if search.as_json:
        print_json(msgspec.json.encode({"cheapest": _plain(found)}).decode())
        return
    _print_splits(
        found, price.of, by, f"least {by} at {rate_per_s:g} requests/s: {found.runs} runs"
    )


def _begin(search: Search) -> Scenario:
    scenario = load(search.scenario, [*search.overrides, f"trace.rate_per_s={search.rates[0]}"])
    announce(scenario.name, scenario.seed, as_json=search.as_json)
    if scenario.slo is None:
        raise CommandError("the scenario has no objectives; name them with --slo splitwise")
    return scenario


@contextmanager
def _judge(search: Search) -> Iterator[Judge]:
    """Runs in processes, with one bar over all of them."""
    with (
        pieces_done("runs", None) as advance,
        Processes[Task, Outcome](outcome_of, search.jobs) as processes,
    ):

        def judge(pairs: Sequence[tuple[tuple[str, ...], float]]) -> list[SloVerdict]:
            tasks = [
                Task(search.scenario, (*search.overrides, f"trace.rate_per_s={rate}", *changes))
                for changes, rate in pairs
            ]
            outcomes = processes.run(tasks, lambda index, outcome: advance(1))
            verdicts = []
            for (_, rate), outcome in zip(pairs, outcomes, strict=True):
                if outcome.error:
                    raise CommandError(outcome.error)
                verdicts.append(SloVerdict(rate, bool(outcome.held), outcome.broken))
            return verdicts

        yield judge


def _highest(search: Search, judge: Judge, changes: tuple[str, ...]) -> HighestRate:
    return highest_rate(
        lambda rates: judge([(changes, rate) for rate in rates]),
        search.rates,
        probes=search.probes,
        confirm=search.confirm,
    )


def _of_splits(
    judge: Judge, scenario: Scenario
) -> Callable[[Sequence[tuple[Split, float]]], list[SloVerdict]]:
    return lambda pairs: judge([(_counts(scenario, split), rate) for split, rate in pairs])


def _counts(scenario: Scenario, split: Split) -> tuple[str, ...]:
    prefill, decode = split_groups(scenario)
    return (
        f"replicas.{prefill}.count={split.prefill}",
        f"replicas.{decode}.count={split.decode}",
    )


def _plain(found: BestSplits) -> dict[str, object]:
    return {
        "splits": found.splits,
        "rate_per_s": found.rate_per_s,
        "runs": found.runs,
        "held": {str(split): rate for split, rate in found.held.items()},
    }


def _print_highest(found: HighestRate, search: Search) -> None:
    low, high = search.rates[0], search.rates[-1]
    if found.rate_per_s is None:
        out.print(f"objectives break at {low:g} requests/s already: lower --low")
        return
    more = " or more: raise --high" if found.open_above else ""
    out.print(f"highest rate under the objectives: {found.rate_per_s:g} requests/s{more}")
    if found.open_above:
        out.print(f"all of {low:g} to {high:g} hold")
    if found.islands_per_s:
        islands = ", ".join(f"{rate:g}" for rate in found.islands_per_s)
        out.print(f"held again above a broken rate, not claimed: {islands} requests/s")


def _print_verdicts(verdicts: Sequence[SloVerdict]) -> None:
    table = Table("requests/s", "objectives", "broken")
    for verdict in verdicts:
        word = "hold" if verdict.held else "broken"
        table.add_row(f"{verdict.rate_per_s:g}", word, Text(", ".join(verdict.broken)))
    out.print(table)


def _print_splits(found: BestSplits, price: Callable[[Split], float], by: By, title: str) -> None:
    if not found.splits:
        out.print(Text(f"{title}; none holds the objectives"))
        return
    out.print(Text(title))
    table = Table("split", by, "requests/s")
    for split in found.splits:
        table.add_row(str(split), f"{price(split):,.4g}", f"{found.rate_per_s:g}")
    out.print(table)
