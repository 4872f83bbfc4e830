"""The one definition of a benchmark's result record (`loadtests.ledger` keeps the latest of each figure in a file)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from loadtests import verdicts
from loadtests.machine import Machine
from loadtests.mark import Scope
from loadtests.placement import Placement
from loadtests.quantiles import paired_difference, paired_ratio, spread
from loadtests.verdicts import Amounts, Key, Verdict


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure of one function in one benchmark.

    Attributes:
        benchmark: which section or run made it ("warm", "cold", "faasd").
        subject: the function; empty where the figure is of none.
        attachment: how it was attached while it was measured, by the front door's own counters ("ring", "fd");
            empty where it does not matter.
        placement: a value of `loadtests.placement.Placement`; empty where the figure has none.
        figure: what was measured; its unit ends the name or is in `unit`.
        value: the median over `rounds`; `least` and `most` are the extremes of the rounds.
        baseline: what it is compared with ("bare", "nginx"), None where nothing compares.
        baseline_value: the baseline's median over the same rounds.
        ratio: the median over rounds of value / baseline of that round; None without a baseline.
        difference: the median over rounds of value - baseline of that round; None without a baseline.
        goal: the promised bound as text; None where nothing is promised.
        met: whether the goal is reached; None without a goal.
        commit: the tree that was measured, with "+dirty" where it had uncommitted changes.
        time: when the run ended, ISO 8601 UTC.
    """

    benchmark: str
    subject: str
    attachment: str
    placement: str
    figure: str
    unit: str
    value: float
    least: float
    most: float
    baseline: str | None
    baseline_value: float | None
    ratio: float | None
    difference: float | None
    goal: str | None
    met: bool | None
    rounds: int
    commit: str
    machine: Machine
    time: str

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"{self.figure}: rounds must be at least 1")
        if (self.goal is None) != (self.met is None):
            raise ValueError(f"{self.figure}: goal and met come together")
        if self.baseline is None and (self.baseline_value, self.ratio) != (None, None):
            raise ValueError(f"{self.figure}: a ratio needs a named baseline")
        if self.placement not in PLACEMENTS:
            raise ValueError(f"{self.figure}: placement {self.placement!r} is none of {PLACEMENTS}")
        datetime.fromisoformat(self.time)

    @property
    def key(self) -> Key:
        """What a newer record replaces."""
        return Key(
            *(self.benchmark, self.subject, self.attachment, self.placement),
            *(self.figure, self.baseline or ""),
        )

    @property
    def amounts(self) -> Amounts:
        """What goals limit."""
        return Amounts(self.value, self.ratio, self.difference, self.baseline_value, self.rounds)

    @property
    def scope(self) -> Scope:
        """Which part of the benchmarks it belongs to."""
        return Scope(self.benchmark, self.subject, self.placement)


PLACEMENTS = ("", *map(str, Placement))


class Provenance(msgspec.Struct, frozen=True):
    """What all records of one run share."""

    commit: str
    machine: Machine
    time: str


class Subject(msgspec.Struct, frozen=True):
    """What a series of values is of: a function, how it was attached, and where it ran."""

    function: str = ""
    attachment: str = ""
    placement: str = ""


def make(
    benchmark: str,
    subject: Subject,
    figure: str,
    unit: str,
    values: Sequence[float],
    provenance: Provenance,
    *,
    baseline: str | None = None,
    baseline_values: Sequence[float] = (),
) -> Record:
    """A record from one value per round, with its goal looked up."""
    named = baseline if baseline_values else None
    over = spread(values)
    plain = Record(
        benchmark=benchmark,
        subject=subject.function,
        attachment=subject.attachment,
        placement=subject.placement,
        figure=figure,
        unit=unit,
        value=over.median,
        least=over.least,
        most=over.most,
        baseline=named,
        baseline_value=spread(baseline_values).median if named else None,
        ratio=paired_ratio(values, baseline_values) if named else None,
        difference=paired_difference(values, baseline_values) if named else None,
        goal=None,
        met=None,
        rounds=len(values),
        commit=provenance.commit,
        machine=provenance.machine,
        time=provenance.time,
    )
    bound = verdicts.find(plain.key)
    measured = verdicts.amount(bound, plain.amounts) if bound else None
    if bound is None or measured is None:
        return plain
    return msgspec.structs.replace(plain, goal=str(bound), met=bound.met(measured))


def judge(records: Iterable[Record]) -> tuple[Verdict, ...]:
    """A verdict for every goal."""
    return verdicts.judge({one.key: one.amounts for one in records})


def now_text() -> str:
    """The time as records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
