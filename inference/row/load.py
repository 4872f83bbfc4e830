"""How busy the row is over the weeks, and arrivals that make it so. Synthetic: the paper's trace is not public.

The shape is a day's swing, quieter weekends, and slow noise; the row's power follows from what the requests do.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

MINUTE_NS = 60_000_000_000
BURST_NS = 1_000_000_000
MINUTES_PER_DAY = 1440
DAYS_PER_WEEK = 7


@dataclass(frozen=True, slots=True)
class LoadShape:
    """Share of server time that is asked for, minute by minute.

    Attributes:
        busy_peak: at the busiest minute of a weekday, before noise.
        busy_valley: at its quietest.
        peak_hour: of the day.
        weekend: factor on the load of Saturday and Sunday.
        noise: standard deviation of the slow noise, as a share of the load.
        noise_minutes: time constant of that noise.
        first_weekday: of the run's first day; 0 is Monday.
        balanced_over: rows that share the stream of requests in turns; see `arrivals_ns`.
        bursts_per_day: how often requests come all at once: a caller that fans out.
        burst_per_server: requests of one burst for each server, on average.
    """

    busy_peak: float
    busy_valley: float
    peak_hour: float = 14.0
    weekend: float = 0.9
    noise: float = 0.02
    noise_minutes: float = 30.0
    first_weekday: int = 2
    balanced_over: int = 1
    bursts_per_day: float = 0.0
    burst_per_server: float = 0.0

    def busy(self, minutes: int, rng: np.random.Generator) -> Float64:
        """Offered load of each minute, as a share of the row's server time at the highest clock."""
        minute = np.arange(minutes)
        hour = minute / 60.0
        swing = 0.5 * (1.0 + np.cos(2.0 * np.pi * (hour - self.peak_hour) / 24.0))
        day = (minute // MINUTES_PER_DAY + self.first_weekday) % DAYS_PER_WEEK
        level = self.busy_valley + (self.busy_peak - self.busy_valley) * swing
        level = level * np.where(day >= 5, self.weekend, 1.0)
        return np.clip(level * (1.0 + self._slow_noise(minutes, rng)), 0.0, 0.98)

    def bursts_ns(self, minutes: int, rng: np.random.Generator) -> Int64:
        """Times of the bursts, in order."""
        count = rng.poisson(self.bursts_per_day * minutes / MINUTES_PER_DAY)
        times = rng.integers(0, minutes * MINUTE_NS, size=count, dtype=np.int64)
        times.sort()
        return times

    def burst_arrivals_ns(self, bursts_ns: Int64, servers: int, rng: np.random.Generator) -> Int64:
        """Arrivals of the bursts at some servers: each burst is over within a second."""
        counts = rng.poisson(self.burst_per_server * servers, size=len(bursts_ns))
        starts = np.repeat(bursts_ns, counts)
        return starts + rng.integers(0, BURST_NS, size=len(starts), dtype=np.int64)

    def _slow_noise(self, minutes: int, rng: np.random.Generator) -> Float64:
        """A first-order autoregressive series of the set deviation and time constant."""
        keep = float(np.exp(-1.0 / self.noise_minutes))
        shocks = rng.standard_normal(minutes) * self.noise * np.sqrt(1.0 - keep * keep)
        shocks[0] = rng.standard_normal() * self.noise
        noise: Float64 = lfilter([1.0], [1.0, -keep], shocks)
        return noise


def arrivals_ns(
    requests_per_minute: Float64, balanced_over: int, rng: np.random.Generator
) -> Int64:
    """Arrivals at one of several rows between which a balancer deals out a Poisson stream in turns, in order.

    Each row so gets every `balanced_over`-th request: gaps are Erlang distributed, the more even the more rows there are.
    One row alone sees the Poisson stream itself.

    Args:
        requests_per_minute: rate at this row, constant within each minute.
        balanced_over: rows behind the balancer, at least 1.
        rng: of this stream.
    """
    expected = np.concatenate(([0.0], np.cumsum(requests_per_minute)))
    # More gaps than the whole time can hold, but for one chance in millions; those after the end are dropped.
    count = int(expected[-1] + 6.0 * np.sqrt(expected[-1]) + 20.0)
    gaps = rng.gamma(balanced_over, 1.0 / balanced_over, size=count)
    gaps[0] *= rng.random()
    at = np.cumsum(gaps)
    minutes = np.interp(at[at < expected[-1]], expected, np.arange(len(expected)))
    return np.asarray(minutes * MINUTE_NS, dtype=np.int64)
