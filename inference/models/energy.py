"""Energy: power over time, and whose it is.

Scope is that of the power which comes in: GPUs of a replica (`power.py`) or whole servers (`server.py`); names of results
say which. Durations are integer nanoseconds, power is constant from one change to the next.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

NS_PER_S = 1_000_000_000
J_PER_WH = 3600.0
J_PER_KWH = 3.6e6


def energy_j(power_w: float, duration_ns: int) -> float:
    """Energy of constant power over a time."""
    return power_w * duration_ns / NS_PER_S


def watt_hours(joules: float) -> float:
    """Joules in Wh."""
    return joules / J_PER_WH


def kilowatt_hours(joules: float) -> float:
    """Joules in kWh."""
    return joules / J_PER_KWH


def joules_per_token(joules: float, tokens: int) -> float:
    """Energy per token.

    Raises:
        ValueError: no tokens.
    """
    if tokens < 1:
        raise ValueError(f"tokens must be at least 1, found {tokens}")
    return joules / tokens


def allocate(joules: float, tokens: Sequence[int]) -> list[float]:
    """Shares of one iteration's energy, in proportion to the tokens that each request had in it.

    A prefill counts its prompt tokens, a decode one token. The shares sum to `joules` but for rounding.

    Raises:
        ValueError: no tokens at all, or a negative number.
    """
    if not tokens or min(tokens) < 0 or (total := sum(tokens)) < 1:
        raise ValueError("tokens must not be negative, and at least one must be positive")
    per_token = joules / total
    return [per_token * one for one in tokens]


@dataclass(slots=True)
class EnergyAccount:
    """Whose energy a replica's was: each request's, and nobody's (idle). In joules.

    Attributes:
        requests_j: by request id.
        idle_j: while nothing ran.
    """

    requests_j: dict[int, float] = field(default_factory=dict)
    idle_j: float = 0.0

    def charge(self, power_w: float, duration_ns: int, tokens: Iterable[tuple[int, int]]) -> None:
        """One iteration, or a run of equal ones: (request id, its tokens) for each request in it."""
        members = list(tokens)
        shares = allocate(energy_j(power_w, duration_ns), [count for _, count in members])
        for (request, _), share in zip(members, shares, strict=True):
            self.requests_j[request] = self.requests_j.get(request, 0.0) + share

    def rest(self, power_w: float, duration_ns: int) -> None:
        """Time in which nothing ran."""
        self.idle_j += energy_j(power_w, duration_ns)

    @property
    def total_j(self) -> float:
        """All energy so far."""
        return self.idle_j + sum(self.requests_j.values())


@dataclass(frozen=True, slots=True, eq=False)
class PowerSeries:
    """Power that is constant between changes.

    Attributes:
        edge_ns: n + 1 times, strictly ascending: begin of each piece, and the end of the last.
        power_w: n values.
    """

    edge_ns: Int64
    power_w: Float64

    def __post_init__(self) -> None:
        if len(self.edge_ns) != len(self.power_w) + 1:
            raise ValueError("a series has one edge more than it has values")
        if bool(np.any(np.diff(self.edge_ns) <= 0)):
            raise ValueError("edges must be strictly ascending")
        if not bool(np.all(np.isfinite(self.power_w))):
            raise ValueError("power must be finite")

    @property
    def energy_j(self) -> float:
        """Over all pieces."""
        return float(np.dot(self.power_w, np.diff(self.edge_ns))) / NS_PER_S

    def energy_until_j(self, times_ns: npt.ArrayLike) -> Float64:
        """Energy from the first edge to each time; nothing is drawn before the first and after the last."""
        pieces = self.power_w * np.diff(self.edge_ns) / NS_PER_S
        summed = np.concatenate(([0.0], np.cumsum(pieces)))
        times = np.asarray(times_ns, dtype=np.int64)
        return np.asarray(np.interp(times, self.edge_ns, summed), dtype=np.float64)

    def resampled(self, period_ns: int) -> "PowerSeries":
        """Mean power of each period from the first edge on; the last one ends with the series. Energy is kept."""
        if period_ns < 1:
            raise ValueError(f"period_ns must be at least 1, found {period_ns}")
        first, last = int(self.edge_ns[0]), int(self.edge_ns[-1])
        edges = np.append(np.arange(first, last, period_ns, dtype=np.int64), last)
        means = np.diff(self.energy_until_j(edges)) / np.diff(edges) * NS_PER_S
        return PowerSeries(edges, means)


def power_series(period_ns: int, power_w: npt.ArrayLike, start_ns: int = 0) -> PowerSeries:
    """Samples at a fixed period as a series (`results.run.SeriesColumns`)."""
    values = np.asarray(power_w, dtype=np.float64)
    return PowerSeries(start_ns + period_ns * np.arange(len(values) + 1, dtype=np.int64), values)


def summed(series: Sequence[PowerSeries]) -> PowerSeries:
    """Power of several series together, over the time that any of them covers.

    Raises:
        ValueError: no series.
    """
    if not series:
        raise ValueError("expected at least one series")
    edges = np.unique(np.concatenate([one.edge_ns for one in series]))
    total = np.zeros(len(edges) - 1)
    for one in series:
        piece = np.searchsorted(one.edge_ns, edges[:-1], side="right") - 1
        inside = (piece >= 0) & (piece < len(one.power_w))
        total[inside] += one.power_w[piece[inside]]
    return PowerSeries(edges, total)
