"""What the visits to warm functions found, round by round, and the series made of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.placement import Placement
from loadtests.record import Subject
from loadtests.series import OURS, Rounds, Series
from loadtests.stand import Cell

SECTIONS = ("warm", "fresh", "open")
Key = tuple[str, str, str]


@dataclass(slots=True)
class WarmFigures:
    """What was measured in one placement.

    Attributes:
        cells: what is measured, ours and the baselines.
        number: of the present round.
        values: by (benchmark, subject, label of the cell) and figure.
        carried: by subject and label, which attachments the front door's counters showed, one per load of up to eight
            connections.
        samples_us: every sequential latency by subject and label, for the plot.
        steal: (subject, label, share of CPU time that the hypervisor gave to others) of every visit.
    """

    placement: Placement
    cells: list[Cell] = field(default_factory=list)
    number: int = 1
    values: dict[Key, dict[str, Rounds]] = field(default_factory=dict)
    carried: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    samples_us: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    steal: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, benchmark: str, cell: Cell, figure: str, value: float) -> None:
        """Notes the value of the present round."""
        of = self.values.setdefault((benchmark, cell.subject, cell.label), {})
        of.setdefault(figure, {})[self.number] = value

    def present(self, cell: Cell, figure: str) -> float:
        """A warm figure of the present round; zero where it was not measured."""
        figures = self.values.get(("warm", cell.subject, cell.label), {})
        return figures.get(figure, {}).get(self.number, 0.0)

    def series(self) -> list[Series]:
        """A series per benchmark and function of ours, with the function's baselines beside it."""
        made = []
        for cell in (one for one in self.cells if one.ours):
            beside = [one for one in self.cells if one.subject == cell.subject and not one.ours]
            for benchmark in SECTIONS:
                series = Series(benchmark, self._subject(cell))
                for one in (cell, *beside):
                    self._put(series, one)
                made.append(series)
        return [one for one in made if one.figures(OURS)]

    def _put(self, series: Series, cell: Cell) -> None:
        figures = self.values.get((series.benchmark, cell.subject, cell.label), {})
        for figure, rounds in figures.items():
            series.values[cell.target.name, figure] = rounds

    def _subject(self, cell: Cell) -> Subject:
        seen = set(self.carried.get((cell.subject, cell.label), []))
        attached = seen.pop() if len(seen) == 1 else "mixed"
        return Subject(cell.subject, attached, str(self.placement))


def distinct(cells: Sequence[Cell], seen: dict[int, str]) -> tuple[list[Cell], list[str]]:
    """The cells without those that would measure the same twice, and whose these are: rings were wanted, and the program cannot use them."""
    alone = {cell.subject for cell in cells if cell.label == "ring" and seen.get(id(cell)) == "fd"}
    kept = [cell for cell in cells if not (cell.label == "fd" and cell.subject in alone)]
    return kept, sorted(alone)
