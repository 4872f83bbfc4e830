"""Arrival rates over time: what fluid drivers and inhomogeneous generators share."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.errors import TraceError
from inference.traces.arguments import positive
from inference.traces.bundled import checked_service, numbers

Float64 = npt.NDArray[np.float64]

WEEK_PERIOD_S = 600.0
SECONDS_PER_MINUTE = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class RateSeries:
    """A rate that is constant within each period; row k holds from t_s[k] to t_s[k] + period_s.

    Attributes:
        t_s: starts of the periods, one `period_s` apart.
        per_s: requests per second.
        period_s: length of each period.
        description: where it comes from and what was done to it.
    """

    t_s: Float64
    per_s: Float64
    period_s: float
    description: str

    @property
    def duration_s(self) -> float:
        """From the first period's start to the last one's end."""
        return len(self.t_s) * self.period_s

    @property
    def requests(self) -> float:
        """Expected number of requests over the whole series."""
        return float(self.per_s.sum()) * self.period_s

    def scaled(self, factor: float) -> "RateSeries":
        """Every rate times a factor; for a Poisson process the same as keeping that share of its requests.

        Raises:
            TraceError: the factor is not above 0.
        """
        positive("scale", factor, "times the rate")
        if factor == 1.0:
            return self
        description = f"{self.description}, rates scaled by {factor:g}"
        return RateSeries(self.t_s, self.per_s * factor, self.period_s, description)

    def window(self, start_s: float, end_s: float) -> "RateSeries":
        """Whole periods that lie between two times, with t_s counted from `start_s`.

        Raises:
            TraceError: the window holds no whole period, or ends do not fall on a period's.
        """
        first, last = start_s / self.period_s, end_s / self.period_s
        if not (0 <= first < last <= len(self.t_s) and first == int(first) and last == int(last)):
            expected = (
                f"expected multiples of {self.period_s:g} s, rising, within 0 and {self.duration_s:g},"
                f" found {start_s!r} to {end_s!r}"
            )
            raise TraceError("argument", "window", expected)
        rows = slice(int(first), int(last))
        description = f"{self.description}, from {start_s:g} s to {end_s:g} s"
        return RateSeries(self.t_s[rows] - start_s, self.per_s[rows], self.period_s, description)

    def moving_mean(self, width_s: float) -> Float64:
        """Mean rate over every window of this width that begins at a period.

        Raises:
            TraceError: the width is no multiple of the period, or longer than the series.
        """
        periods = width_s / self.period_s
        if not (1 <= periods <= len(self.t_s) and periods == int(periods)):
            expected = f"expected a multiple of {self.period_s:g} s up to {self.duration_s:g}"
            raise TraceError("argument", "width_s", f"{expected}, found {width_s!r}")
        count = int(periods)
        return np.convolve(self.per_s, np.full(count, 1.0 / count), "valid")

    def peak_to_mean(self, width_s: float) -> float:
        """Highest moving mean over the mean rate (DynamoLLM's load shape)."""
        return float(self.moving_mean(width_s).max() / self.per_s.mean())

    def peak_to_valley(self, width_s: float) -> float:
        """Highest moving mean over the lowest; infinite where nothing arrives for that long."""
        means = self.moving_mean(width_s)
        return float(means.max() / means.min()) if means.min() > 0 else math.inf


def week_rates(service: str) -> RateSeries:
    """Arrivals at Azure's LLM services over one week of May 2024, from Friday 2024-05-10 00:00 UTC, in 10-minute periods.

    Digitised from plots, then scaled to the published totals of 27,303,999 (conv) and 16,803,695 (code) requests.

    Args:
        service: "code" or "conv".

    Raises:
        TraceError: there is no such service.
    """
    table = numbers("azure_week_2024.csv.gz")
    return RateSeries(
        table["start_s"],
        table[f"{checked_service(service)}_per_min"] / SECONDS_PER_MINUTE,
        WEEK_PERIOD_S,
        f"2024 week shape (digitised), {service}",
    )
