"""What a row controller may be told to do, as a table: levels of capping, bands of power, and the next level for each.

The table is the policy. `controller.RowController` carries it out, and `markdown` draws it for the documentation.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from inference.domain.request import Priority

SECOND_NS = 1_000_000_000

RELEASE_BELOW = 0.95
"""The paper does not say when the brake is let go. A crowded row draws up to nine tenths of its power even when braked, so a
mark at T2 or lower might never be reached, and the row would stand still for good."""


@dataclass(frozen=True, slots=True)
class Level:
    """One degree of capping.

    Attributes:
        name: for reports.
        low_cap_mhz, high_cap_mhz: SM clock caps of replicas of low and of high priority; 0 for none.
        after_landing: it is entered only when every command given so far has landed and a whole telemetry period was
            measured since: "if still above" (POLCA, section 5).
    """

    name: str
    low_cap_mhz: int = 0
    high_cap_mhz: int = 0
    after_landing: bool = False

    def cap_mhz(self, priority: Priority) -> int:
        """The cap of replicas of this priority; 0 for none."""
        return self.low_cap_mhz if priority is Priority.LOW else self.high_cap_mhz


@dataclass(frozen=True, slots=True)
class Edge:
    """Where one band of power ends and the next begins, as a share of provisioned power.

    Attributes:
        share: 0.80 is 80 %.
        above: whether the edge itself still belongs to the band below ("> 80 %" acts) or to the one above ("< 75 %" acts).
    """

    share: float
    above: bool

    @property
    def first(self) -> float:
        """The smallest share that belongs to the upper band."""
        return math.nextafter(self.share, math.inf) if self.above else self.share


@dataclass(frozen=True, slots=True)
class Delays:
    """How late the row hears and is heard (POLCA, section 2).

    Attributes:
        telemetry_ns: between samples of the row's power; each covers the time since the one before.
        cap_ns: after which an out-of-band clock cap has landed at the latest.
        brake_ns: after which the power brake holds.
    """

    telemetry_ns: int = 2 * SECOND_NS
    cap_ns: int = 40 * SECOND_NS
    brake_ns: int = 5 * SECOND_NS


@dataclass(frozen=True, slots=True)
class ControlTable:
    """Levels, bands and transitions of one row controller.

    Attributes:
        name: of the policy.
        levels: from no capping to the deepest.
        edges: rising; they part the power into `len(edges) + 1` bands.
        transitions: row per level, column per band: the index of the next level.
        brake_above: a sample over this share engages the power brake and the deepest level.
        release_below: the brake is released under this share, once caps have landed.

    Raises:
        ValueError: the table does not fit together, or a deeper level would raise a clock.
    """

    name: str
    levels: tuple[Level, ...]
    edges: tuple[Edge, ...]
    transitions: tuple[tuple[int, ...], ...]
    brake_above: float = 1.0
    release_below: float = RELEASE_BELOW

    def __post_init__(self) -> None:
        shares = [edge.share for edge in self.edges]
        if any(low >= high for low, high in pairwise(shares)):
            raise ValueError(f"{self.name}: edges must rise, found {shares}")
        if not self.release_below < self.brake_above:
            raise ValueError(f"{self.name}: the brake must be released below where it engages")
        bands = len(self.edges) + 1
        if len(self.transitions) != len(self.levels) or any(
            len(row) != bands for row in self.transitions
        ):
            raise ValueError(f"{self.name}: expected a row per level and a column per band")
        if any(not 0 <= level < len(self.levels) for row in self.transitions for level in row):
            raise ValueError(f"{self.name}: a transition leads to no level")
        if any(calm > busy for row in self.transitions for calm, busy in pairwise(row)):
            raise ValueError(f"{self.name}: more power must never lead to a shallower level")
        for priority in Priority:
            caps = [level.cap_mhz(priority) or math.inf for level in self.levels]
            if any(shallow < deep for shallow, deep in pairwise(caps)):
                raise ValueError(f"{self.name}: a deeper level would raise a clock: {caps}")

    def band(self, share: float) -> int:
        """The band that a share of provisioned power is in."""
        return bisect_right([edge.first for edge in self.edges], share)

    def bands(self) -> tuple[str, ...]:
        """The bands in words, from the lowest."""
        if not self.edges:
            return ("any power",)
        texts = [f"{edge.share:.0%}" for edge in self.edges]
        middle = [f"{low} to {high}" for low, high in pairwise(texts)]
        return (f"below {texts[0]}", *middle, f"above {texts[-1]}")


def markdown(table: ControlTable) -> str:
    """The table for the documentation: a row per level, the next level by band of the row's power."""
    heads = ["level", "low priority", "high priority", *table.bands()]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for index, (level, row) in enumerate(zip(table.levels, table.transitions, strict=True)):
        caps = [
            f"{mhz} MHz" if mhz else "no cap" for mhz in (level.low_cap_mhz, level.high_cap_mhz)
        ]
        following = [
            table.levels[i].name + ("*" if i > index and table.levels[i].after_landing else "")
            for i in row
        ]
        lines.append("| " + " | ".join([level.name, *caps, *following]) + " |")
    lines.append("")
    lines.append(
        f"Above {table.brake_above:.0%} the power brake engages too, until power is below {table.release_below:.0%} "
        "and every cap has landed."
    )
    if any(level.after_landing for level in table.levels):
        lines.append("`*` only once all commands have landed.")
    return "\n".join(lines) + "\n"
