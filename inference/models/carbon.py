"""Carbon: energy times the grid's intensity at the time (DynamoLLM, week on CAISO's intensity).

No public CAISO trace is at hand, so `duck_curve` draws one day with its shape. It is MODELLED and every report that uses
it says so; a real series comes in through `read_intensity`.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.errors import ProfileError
from inference.models.energy import J_PER_KWH, NS_PER_S, PowerSeries
from inference.models.profile import read_profile
from inference.models.provenance import Origin, Provenance

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

HOUR_NS = 3600 * NS_PER_S
DAY_NS = 24 * HOUR_NS


class Between(StrEnum):
    """What holds between two points of a series."""

    STEP = "step"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True, eq=False)
class IntensitySeries:
    """Carbon intensity of electricity over time, in gCO2 per kWh.

    Attributes:
        time_ns: strictly ascending; the first is 0 where the series repeats.
        g_per_kwh: at those times, at least 0.
        between: a step holds until the next point; linear goes straight there.
        period_ns: after which it repeats, beyond the last point; 0: it does not, and its ends hold outside.
        provenance: whose figures these are.
    """

    time_ns: Int64
    g_per_kwh: Float64
    between: Between
    period_ns: int
    provenance: Provenance

    def __post_init__(self) -> None:
        if len(self.time_ns) != len(self.g_per_kwh) or len(self.time_ns) == 0:
            raise ValueError("times and intensities must be as many, and at least one")
        if bool(np.any(np.diff(self.time_ns) <= 0)):
            raise ValueError("times must be strictly ascending")
        if not bool(np.all(np.isfinite(self.g_per_kwh) & (self.g_per_kwh >= 0))):
            raise ValueError("intensities must be finite and at least 0")
        if self.period_ns and (self.time_ns[0] != 0 or self.time_ns[-1] >= self.period_ns):
            raise ValueError("a series that repeats begins at 0 and ends before its period")

    def at(self, time_ns: npt.ArrayLike) -> Float64:
        """Intensity at each time, gCO2/kWh."""
        times = np.asarray(time_ns, dtype=np.int64)
        points, values = self._closed()
        if self.period_ns:
            times = times % self.period_ns
        if self.between is Between.LINEAR:
            return np.asarray(np.interp(times, points, values), dtype=np.float64)
        index = np.clip(np.searchsorted(points, times, side="right") - 1, 0, len(points) - 1)
        return np.asarray(values[index], dtype=np.float64)

    def mass_kg(self, power: PowerSeries) -> float:
        """CO2 of a power series, exact for constant pieces of power and this series' own pieces.

        Times of both count from the same zero.
        """
        integral = np.diff(self._integral(power.edge_ns))  # g/kWh x s
        return float(np.dot(power.power_w, integral)) / J_PER_KWH / 1000.0

    def outside_ns(self, start_ns: int, end_ns: int) -> int:
        """How much of a time span lies outside the series, where its ends are held; for the report's warnings."""
        if self.period_ns:
            return 0
        first, last = int(self.time_ns[0]), int(self.time_ns[-1])
        covered = max(0, min(end_ns, last) - max(start_ns, first))
        return end_ns - start_ns - covered

    def _closed(self) -> tuple[Int64, Float64]:
        """Points with the period's end added, where the first value comes again."""
        if not self.period_ns:
            return self.time_ns, self.g_per_kwh
        return (
            np.append(self.time_ns, self.period_ns),
            np.append(self.g_per_kwh, self.g_per_kwh[0]),
        )

    def _integral(self, time_ns: Int64) -> Float64:
        """Integral of the intensity from 0 to each time, g/kWh x s."""
        if not self.period_ns:
            return self._within(time_ns)
        whole, part = np.divmod(time_ns, self.period_ns)
        of_period = self._within(np.array([self.period_ns], dtype=np.int64))[0]
        return np.asarray(whole * of_period + self._within(part), dtype=np.float64)

    def _within(self, time_ns: Int64) -> Float64:
        points, values = self._closed()
        steps = np.diff(points) / NS_PER_S
        if self.between is Between.LINEAR:
            pieces = steps * (values[1:] + values[:-1]) / 2
        else:
            pieces = steps * values[:-1]
        sums = np.concatenate(([0.0], np.cumsum(pieces)))
        inner = np.clip(time_ns, points[0], points[-1])
        index = np.clip(np.searchsorted(points, inner, side="right") - 1, 0, len(points) - 1)
        since_s = (inner - points[index]) / NS_PER_S
        end_value = self.at(inner) if self.between is Between.LINEAR else values[index]
        area = sums[index] + since_s * (values[index] + end_value) / 2
        before_s = np.minimum(time_ns - points[0], 0) / NS_PER_S
        after_s = np.maximum(time_ns - points[-1], 0) / NS_PER_S
        return np.asarray(area + before_s * values[0] + after_s * values[-1], dtype=np.float64)


# Hours 0 to 23, local time: flat night, solar valley, steep evening ramp.
_DUCK_G_PER_KWH = (
    290, 285, 282, 280, 282, 288, 280, 240, 190, 155, 135, 125,
    120, 122, 128, 142, 175, 235, 300, 330, 335, 325, 312, 300,
)  # fmt: skip

DUCK_PROVENANCE = Provenance(
    Origin.MODELLED,
    "junctiond",
    "a grid with much solar power, shaped like CAISO's",
    "2026",
    "synthetic duck curve; no public intensity trace was at hand",
    "24 hourly values, mean 236 g/kWh, valley at noon, peak at 20 h; the same every day",
)


def duck_curve(start_hour: int = 0) -> IntensitySeries:
    """A synthetic day of intensity that repeats; MODELLED.

    Args:
        start_hour: local hour of time 0.
    """
    hours = np.roll(np.array(_DUCK_G_PER_KWH, dtype=np.float64), -start_hour)
    times = HOUR_NS * np.arange(24, dtype=np.int64)
    return IntensitySeries(times, hours, Between.LINEAR, DAY_NS, DUCK_PROVENANCE)


def read_intensity(
    path: Path, between: Between = Between.STEP, period_ns: int = 0
) -> IntensitySeries:
    """Read columns time_s and g_per_kwh of a CSV with a provenance header (`models.profile`).

    Raises:
        ProfileError: what `read_profile` refuses, a negative intensity, or points that do not fit into the period.
    """
    profile = read_profile(path, ("time_s", "g_per_kwh"), (), ("time_s",))
    intensity = profile.numbers["g_per_kwh"]
    negative = np.flatnonzero(intensity < 0)
    if negative.size:
        row = int(negative[0])
        expected = f"expected at least 0, found {intensity[row]}"
        raise ProfileError(path.name, f"g_per_kwh of row {row + 1}", expected)
    times = np.round(profile.numbers["time_s"] * NS_PER_S).astype(np.int64)
    try:
        return IntensitySeries(times, intensity, between, period_ns, profile.provenance)
    except ValueError as fault:
        raise ProfileError(path.name, "time_s", f"{fault} ({period_ns / NS_PER_S:g} s)") from fault
