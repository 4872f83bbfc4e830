"""Whether the goals are met, by what was measured. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from loadtests.goals import GOALS, Bound, Goal, Of

SHOWN = ("bare", "nginx")
"""Baselines that are shown beside every figure that has them."""
ROUNDS_MIN = 5
SINGLE = ("sustained", "idle")
"""Sections that have no interleaved rounds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured for one function under one bound.

    Attributes:
        measured: what the bound limits; None where nothing was measured.
        value: the figure itself, which the bound may limit only beside another one.
        beside: the same figure of the baselines of `SHOWN` and of the bound's own.
        rounds: how many it is the median of, where these are fewer than a verdict should rest on; else None.
    """

    bound: Bound
    subject: str
    measured: float | None
    value: float | None = None
    beside: tuple[tuple[str, float], ...] = ()
    rounds: int | None = None

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None where it was not measured."""
        return None if self.measured is None else self.bound.met(self.measured)

    @property
    def stretch_met(self) -> bool | None:
        """Whether the further limit is kept; None where there is none or it was not measured."""
        return None if self.measured is None else self.bound.stretch_met(self.measured)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal with everything that was measured for it."""

    goal: Goal
    findings: tuple[Finding, ...]

    @property
    def met(self) -> bool | None:
        """False where a bound is broken; True where all are measured and kept; else None."""
        marks = [finding.met for finding in self.findings]
        if False in marks:
            return False
        return None if None in marks else True


class Key(NamedTuple):
    """What a record is of (`loadtests.record.Record`); empty text where something does not apply."""

    benchmark: str
    subject: str
    attachment: str
    placement: str
    figure: str
    baseline: str


class Amounts(NamedTuple):
    """What a record says, medians over its rounds; None without a baseline."""

    value: float
    ratio: float | None
    difference: float | None
    baseline_value: float | None = None
    rounds: int = ROUNDS_MIN


def applies(bound: Bound, benchmark: str, key: Key) -> bool:
    """Whether a bound of a benchmark's goal limits a record."""
    return (
        key.benchmark == benchmark
        and key.figure == bound.figure
        and key.subject in bound.subjects
        and (key.baseline == bound.baseline or _alone(bound))
        and bound.attachment in ("", key.attachment)
        and bound.placement in ("", key.placement)
    )


def _alone(bound: Bound) -> bool:
    """Whether the bound limits a value as such, so that it does not matter what stands beside it."""
    return bound.of is Of.VALUE and not bound.baseline


def amount(bound: Bound, amounts: Amounts) -> float | None:
    """What the bound limits of a record; None where that was not measured."""
    return {
        Of.VALUE: amounts.value,
        Of.RATIO: amounts.ratio,
        Of.DIFFERENCE: amounts.difference,
    }[bound.of]


def find(key: Key) -> Bound | None:
    """The first bound that limits a record, if any does."""
    for goal in GOALS:
        for bound in goal.bounds:
            if applies(bound, goal.benchmark, key):
                return bound
    return None


def judge(measured: Mapping[Key, Amounts]) -> tuple[Verdict, ...]:
    """A verdict for every goal."""
    return tuple(Verdict(goal, _findings(goal, measured)) for goal in GOALS)


def _findings(goal: Goal, measured: Mapping[Key, Amounts]) -> tuple[Finding, ...]:
    found = []
    for bound in goal.bounds:
        for subject in bound.subjects:
            hits = [
                key
                for key in measured
                if key.subject == subject and applies(bound, goal.benchmark, key)
            ]
            found.append(
                _finding(bound, hits[0], measured) if hits else Finding(bound, subject, None)
            )
    return tuple(found)


def _finding(bound: Bound, hit: Key, measured: Mapping[Key, Amounts]) -> Finding:
    """What a record says under a bound, with the baselines that a reader wants to see beside it."""
    beside = []
    for name in dict.fromkeys((bound.baseline, *SHOWN)):
        other = measured.get(hit._replace(baseline=name)) if name else None
        if other is not None and other.baseline_value is not None:
            beside.append((name, other.baseline_value))
    amounts = measured[hit]
    few = hit.benchmark not in SINGLE and amounts.rounds < ROUNDS_MIN
    return Finding(
        bound,
        hit.subject,
        amount(bound, amounts),
        amounts.value,
        tuple(beside),
        amounts.rounds if few else None,
    )
