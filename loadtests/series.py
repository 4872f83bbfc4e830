"""Figures collected round by round, and the records made of them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from loadtests.record import Provenance, Record, Subject, make

OURS = "junctiond"
NOTHING = Subject()


@dataclass(slots=True)
class Series:
    """One value per round for each target and figure of one subject (function, attachment, placement)."""

    benchmark: str
    subject: Subject = NOTHING
    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, target: str, figure: str, value: float) -> None:
        """Notes the value of the present round."""
        self.values.setdefault((target, figure), []).append(value)

    def of(self, target: str, figure: str) -> list[float]:
        """The values of all rounds; empty where the figure was not measured."""
        return self.values.get((target, figure), [])

    def figures(self, target: str) -> list[str]:
        """Every figure of a target, in the order of first mention."""
        return [figure for name, figure in self.values if name == target]

    def records(self, baselines: Iterable[str], provenance: Provenance) -> list[Record]:
        """A record per figure of ours and baseline that has it; one without a baseline where none has."""
        return [
            make(
                self.benchmark,
                self.subject,
                figure,
                unit_of(figure),
                self.of(OURS, figure),
                provenance,
                baseline=baseline or None,
                baseline_values=self.of(baseline, figure),
            )
            for figure in self.figures(OURS)
            for baseline in self._beside(baselines, figure)
        ]

    def _beside(self, baselines: Iterable[str], figure: str) -> list[str]:
        """The baselines that have a figure; one empty name where none has it."""
        return [name for name in baselines if self.of(name, figure)] or [""]


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
