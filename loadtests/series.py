"""Figures collected round by round, and the records made of them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from loadtests.record import Provenance, Record, Subject, make

OURS = "junctiond"
NOTHING = Subject()
Rounds = dict[int, float]
"""A value by the number of its round; a round in which the figure could not be had is missing."""


@dataclass(slots=True)
class Series:
    """One value per round for each target and figure of one subject (function, attachment, placement)."""

    benchmark: str
    subject: Subject = NOTHING
    values: dict[tuple[str, str], Rounds] = field(default_factory=dict)

    def add(self, target: str, figure: str, value: float, number: int | None = None) -> None:
        """Notes the value of a round; without a number, of the next one."""
        rounds = self.values.setdefault((target, figure), {})
        rounds[number or max(rounds, default=0) + 1] = value

    def of(self, target: str, figure: str) -> list[float]:
        """The values of all rounds in their order; empty where the figure was not measured."""
        rounds = self.values.get((target, figure), {})
        return [rounds[number] for number in sorted(rounds)]

    def figures(self, target: str) -> list[str]:
        """Every figure of a target, in the order of first mention."""
        return [figure for name, figure in self.values if name == target]

    def records(self, baselines: Iterable[str], provenance: Provenance) -> list[Record]:
        """A record per figure of ours and baseline that has it; one without a baseline where none has.

        Beside a baseline, only rounds count in which both have the figure: a round that failed for one says nothing of
        the other's place beside it.
        """
        made = []
        for figure in self.figures(OURS):
            ours = self.values[OURS, figure]
            beside = {
                name: common
                for name in baselines
                if (common := shared(ours, self.values.get((name, figure), {})))
            }
            for name, numbers in (beside or {"": sorted(ours)}).items():
                theirs = self.values.get((name, figure), {})
                made.append(
                    make(
                        self.benchmark,
                        self.subject,
                        figure,
                        unit_of(figure),
                        [ours[number] for number in numbers],
                        provenance,
                        baseline=name or None,
                        baseline_values=[theirs[number] for number in numbers] if name else (),
                    )
                )
        return made


def shared(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[int]:
    """The rounds that both have, in order."""
    return sorted(ours.keys() & theirs.keys())


UNITS = {
    "us": "us",
    "ms": "ms",
    "s": "1/s",
    "rps": "1/s",
    "mib": "MiB",
    "gib": "GiB",
    "cores": "cores",
    "count": "",
    "instructions": "instructions",
}


def unit_of(figure: str) -> str:
    """The unit that a figure's name carries.

    Raises:
        ValueError: it carries none.
    """
    for part in figure.split("_"):
        if part in UNITS:
            return UNITS[part]
    raise ValueError(f"{figure} does not name its unit")
