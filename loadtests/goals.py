"""Every promised figure and its bound, in one table. docs/specification.md lists the same; a test compares."""

from dataclasses import dataclass
from enum import StrEnum


class Of(StrEnum):
    """What a bound is compared with."""

    VALUE = "value"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for one figure of one benchmark.

    `baseline` is what the figure is recorded beside; empty: nothing. `at_most` true: the value (or its ratio to
    `baseline`) must lie strictly below the bound; false: at or above it.
    """

    benchmark: str
    figure: str
    baseline: str
    bound: float
    unit: str
    at_most: bool
    of: Of = Of.VALUE

    def met(self, value: float, ratio: float | None) -> bool | None:
        """Whether the goal is reached; None where the ratio it speaks of was not measured."""
        measured = value if self.of is Of.VALUE else ratio
        if measured is None:
            return None
        return measured < self.bound if self.at_most else measured >= self.bound

    def __str__(self) -> str:
        sign = "<" if self.at_most else ">="
        if self.of is Of.RATIO:
            return f"{sign} {self.bound:.3g} x {self.baseline}"
        return f"{sign} {self.bound:g} {self.unit}"


GOALS = (
    Goal("warm", "latency_us_p50", "bare", 200, "us", at_most=True),
    Goal("warm", "rps_c8", "bare", 1 / 3, "1/s", at_most=False, of=Of.RATIO),
    Goal("cold", "launch_to_first_200_ms_p50", "bare", 25, "ms", at_most=True),
    Goal("memory", "platform_mib_per_replica", "", 4, "MiB", at_most=True),
)


def find(benchmark: str, figure: str, baseline: str) -> Goal | None:
    """The goal of a figure, if it has one."""
    wanted = (benchmark, figure, baseline)
    found = [goal for goal in GOALS if (goal.benchmark, goal.figure, goal.baseline) == wanted]
    return found[0] if found else None
