"""Samples over simulated time: energy by pool in bins of a fixed period, and gauges at each bin's end."""

from collections import defaultdict


class Series:
    """Energy in J by pool and bin, and gauges that the cluster writes at each period's end.

    Attributes:
        period_ns: width of a bin.
        energy_j: by pool: bin index to joules.
        gauges: one row each period: (running, waiting, GPUs by pool).
    """

    __slots__ = ("energy_j", "gauges", "period_ns")

    def __init__(self, period_ns: int) -> None:
        assert period_ns > 0, "a series needs a period"
        self.period_ns = period_ns
        self.energy_j: defaultdict[int, defaultdict[int, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self.gauges: list[tuple[int, int, dict[int, int]]] = []

    def spend(self, pool: int, since_ns: int, now_ns: int, power_w: float, energy_j: float) -> None:
        """A replica of `pool` drew `power_w` over a span, which may cross bins, `energy_j` in all."""
        bins, period_ns = self.energy_j[pool], self.period_ns
        first = since_ns // period_ns
        if now_ns <= (first + 1) * period_ns:
            bins[first] += energy_j
            return
        last = (now_ns - 1) // period_ns
        bins[first] += power_w * ((first + 1) * period_ns - since_ns) * 1e-9
        whole_j = power_w * period_ns * 1e-9
        for index in range(first + 1, last):
            bins[index] += whole_j
        bins[last] += power_w * (now_ns - last * period_ns) * 1e-9
