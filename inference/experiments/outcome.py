"""What became of one target of a paper: its number, ours, and the bounds by which ours is judged."""

import math
from dataclasses import dataclass

from inference.models.provenance import Origin


@dataclass(frozen=True, slots=True)
class Target:
    """One target of a paper after our run of it. The verdict follows from the figures and is never written by hand.

    Attributes:
        id: as the specification numbers it ("PO1", "SW2"), with a suffix where one has several parts ("PO1-hp-p99").
        what: the figure in words.
        paper: the paper's number with its unit, as a reader would quote it ("< 1 %", "27P+3T").
        ours: our figure, in `unit`; NaN where the run could not give one, which is never met.
        unit: of `ours`, `low` and `high` ("%", "count", "s").
        low, high: inclusive bounds that `ours` must be within; an infinite one does not bind.
        scenario: the scenario file or name that the figure is of.
        seed: that reproduces it.
        cpu_s: processor time of the runs that this figure needed.
        provenance: of `ours`: a simulation is as good as the weakest profile under it.
        note: deviation from the paper's set-up, or a second figure that a reader needs beside it.

    Raises:
        ValueError: the bounds bind nothing, or exclude everything.
    """

    id: str
    what: str
    paper: str
    ours: float
    unit: str
    low: float
    high: float
    scenario: str
    seed: int
    cpu_s: float
    provenance: Origin
    note: str = ""

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"{self.id}: bounds {self.low} to {self.high} exclude everything")
        if math.isinf(self.low) and math.isinf(self.high):
            raise ValueError(f"{self.id}: no bound binds, so the target could not fail")

    @property
    def met(self) -> bool:
        """Whether our figure is within its bounds."""
        return self.low <= self.ours <= self.high

    @property
    def bound(self) -> str:
        """How it is judged, for a table: "≤ 1 %", "≥ 5 %", "= 0 count", "3 … 5 %"."""
        if self.low == self.high:
            return f"= {self.low:g} {self.unit}"
        if math.isinf(self.low):
            return f"≤ {self.high:g} {self.unit}"
        if math.isinf(self.high):
            return f"≥ {self.low:g} {self.unit}"
        return f"{self.low:g} … {self.high:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Runs:
    """What targets of the same runs share.

    Attributes:
        scenario, seed, cpu_s, provenance: as in `Target`.
    """

    scenario: str
    cpu_s: float = 0.0
    seed: int = 0
    provenance: Origin = Origin.MODELLED

    def target(
        self,
        id: str,
        what: str,
        paper: str,
        ours: float,
        unit: str,
        low: float,
        high: float,
        note: str = "",
    ) -> Target:
        """One figure of these runs."""
        return Target(
            id, what, paper, ours, unit, low, high,
            self.scenario, self.seed, self.cpu_s, self.provenance, note,
        )  # fmt: skip
