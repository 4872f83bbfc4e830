"""Energy profile: power, batch and latency of a replica by class, TP, SM clock and load (DynamoLLM, section III-C).

A table with linear interpolation over load, one cell for each class, TP and clock. A load beyond a cell's highest is
answered by its highest and counted as an extrapolation. At an open load, power times time is the energy of the requests
served, so the setting of least power that keeps the objectives is also that of least energy per request.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from inference.errors import ProfileError
from inference.models.provenance import Provenance

TPS = (2, 4, 8)
CLOCKS_MHZ = (800, 1000, 1200, 1400, 1600, 1800, 1980)


@dataclass(slots=True)
class Coverage:
    """Counts what was asked of a profile.

    Attributes:
        lookups: loads asked for.
        extrapolated: of them, beyond the highest load that the cell knows.
    """

    lookups: int = 0
    extrapolated: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One class at one TP and clock.

    Attributes:
        loads_per_s: rising, from 0; empty where no load keeps the objectives.
        power_w, batch, ttft_ms_p99, tbt_ms_p99: at those loads.
        prefill_ms, prompt_tokens: mean prefill time of one request alone, and its prompt.
    """

    loads_per_s: tuple[float, ...]
    power_w: tuple[float, ...]
    batch: tuple[float, ...]
    ttft_ms_p99: tuple[float, ...]
    tbt_ms_p99: tuple[float, ...]
    prefill_ms: float
    prompt_tokens: float = 1.0

    @property
    def load_max_per_s(self) -> float:
        """Highest load that keeps the objectives; 0 where none does."""
        return self.loads_per_s[-1] if self.loads_per_s else 0.0

    def power_at(self, load_per_s: float) -> float:
        """Mean power of the replica's GPUs (W)."""
        return interpolate(self.loads_per_s, self.power_w, load_per_s)

    def load_at(self, batch: float) -> float:
        """Load at which so many requests are in decode on average: the inverse of `batch`, by Little's law."""
        return interpolate(self.batch, self.loads_per_s, batch)

    def queue_ms(self, prompt_tokens: float) -> float:
        """Time to prefill so many tokens of prompts, at the class' mean speed."""
        return self.prefill_ms * prompt_tokens / self.prompt_tokens


def interpolate(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Linear between points of a rising `xs`; constant beyond its ends. A scalar's own, for it is in every route.

    Raises:
        ValueError: there are no points.
    """
    if not xs:
        raise ValueError("no points to interpolate between")
    if x <= xs[0]:
        return ys[0]
    if x >= xs[-1]:
        return ys[-1]
    above = bisect_right(xs, x)
    low, high = xs[above - 1], xs[above]
    return ys[above - 1] + (ys[above] - ys[above - 1]) * (x - low) / (high - low)


class EnergyProfile:
    """All cells, by class, TP and clock."""

    def __init__(
        self,
        classes: Sequence[str],
        cells: dict[tuple[int, int, int], Cell],
        idle_gpu_w: float,
        provenance: Provenance,
        tps: Sequence[int] = TPS,
        clocks_mhz: Sequence[int] = CLOCKS_MHZ,
    ) -> None:
        """A profile of these cells.

        Args:
            classes: names, by index.
            cells: by (class, TP, clock); all of them.
            idle_gpu_w: of a GPU that holds no replica.
            provenance: where the figures come from.
            tps: rising.
            clocks_mhz: rising.

        Raises:
            ProfileError: a cell is missing.
        """
        self.classes = tuple(classes)
        self.tps = tuple(tps)
        self.clocks_mhz = tuple(clocks_mhz)
        self.idle_gpu_w = idle_gpu_w
        self.provenance = provenance
        self.coverage = Coverage()
        self._cells = cells
        for index, name in enumerate(self.classes):
            for tp in self.tps:
                for clock in self.clocks_mhz:
                    if (index, tp, clock) not in cells:
                        key = f"{name} tp{tp} {clock} MHz"
                        raise ProfileError("energy profile", key, "expected a cell, found none")

    @property
    def clock_max_mhz(self) -> int:
        """The highest clock."""
        return self.clocks_mhz[-1]

    def cell(self, class_id: int, tp: int, clock_mhz: int) -> Cell:
        """A cell.

        Raises:
            ProfileError: the profile does not know that class, TP or clock.
        """
        found = self._cells.get((class_id, tp, clock_mhz))
        if found is None:
            raise ProfileError(
                "energy profile",
                f"class {class_id} tp{tp} {clock_mhz} MHz",
                f"expected TP of {self.tps} and a clock of {self.clocks_mhz}",
            )
        return found

    def load_max(self, class_id: int, tp: int, clock_mhz: int = 0) -> float:
        """Highest load per second that keeps the objectives; clock 0 is the highest."""
        return self.cell(class_id, tp, clock_mhz or self.clock_max_mhz).load_max_per_s

    def power(self, class_id: int, tp: int, clock_mhz: int, load_per_s: float) -> float:
        """Mean power at a load; one that no load keeps objectives at is answered by TP's highest clock."""
        cell = self.cell(class_id, tp, clock_mhz)
        self.coverage.lookups += 1
        if load_per_s > cell.load_max_per_s * (1 + 1e-9):
            self.coverage.extrapolated += 1
        if not cell.loads_per_s:
            cell = self.cell(class_id, tp, self.clock_max_mhz)
            if not cell.loads_per_s:
                return tp * self.idle_gpu_w
        return cell.power_at(load_per_s)

    def best_clock(self, class_id: int, tp: int, load_per_s: float) -> int | None:
        """The clock of least power (so of least energy) that keeps the objectives at this load; None if none does."""
        best: tuple[float, int] | None = None
        for clock in self.clocks_mhz:
            cell = self._cells[class_id, tp, clock]
            if not cell.loads_per_s or load_per_s > cell.load_max_per_s:
                continue
            candidate = (cell.power_at(load_per_s), clock)
            if best is None or candidate < best:
                best = candidate
        return None if best is None else best[1]

    def best_power(self, class_id: int, tp: int, load_per_s: float) -> tuple[int, float]:
        """The clock that an instance would settle at, and its power there; the highest clock where none keeps up."""
        clock = self.best_clock(class_id, tp, load_per_s)
        if clock is None:
            clock = self.clock_max_mhz
        return clock, self.power(class_id, tp, clock, load_per_s)
