"""The same knobs at part load: what TP and clock a replica needs at a rate, and what a request then costs.

Greener LLMs' message is that slack to the objectives is a budget to spend on a lower clock or a smaller TP. At a constant
rate the replica's power is paid whether it hurries or not, so here the least energy is that of the least power which keeps
the objectives; energy bends over the clock only at full batches (`explorer`).
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.models.explorer import Candidate, Limits
from inference.models.steady_state import steady_state

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LoadSurface:
    """One row per TP, clock, pair of lengths and rate; columns of equal length.

    Attributes:
        tp, clock_mhz, prompt_tokens, output_tokens: the setting.
        rate_per_s: requests that arrive (Poisson).
        feasible: the replica keeps up and its KV cache holds the batch.
        batch: mean requests in a decode iteration.
        ttft_ms, tbt_ms, e2e_ms: means; infinite where the queue grows without end.
        ttft_ms_p99, tbt_ms_p99: estimates of `steady_state`.
        power_w: mean of the replica's GPUs, idle time included.
        energy_j_per_request: power / rate; infinite at rate 0.
    """

    tp: Int64
    clock_mhz: Int64
    prompt_tokens: Int64
    output_tokens: Int64
    rate_per_s: Float64
    feasible: Bool
    batch: Float64
    ttft_ms: Float64
    tbt_ms: Float64
    e2e_ms: Float64
    ttft_ms_p99: Float64
    tbt_ms_p99: Float64
    power_w: Float64
    energy_j_per_request: Float64

    def __len__(self) -> int:
        return len(self.tp)

    def columns(self) -> Mapping[str, npt.NDArray[Any]]:
        """All columns by name, in order; fit for a table, CSV or Parquet."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def where(self, rows: Bool | Int64) -> "LoadSurface":
        """Those rows only: a mask, or indices in the wanted order."""
        return LoadSurface(**{name: column[rows] for name, column in self.columns().items()})

    def row(self, index: int) -> dict[str, float]:
        """One row by column name."""
        return {name: column[index].item() for name, column in self.columns().items()}


def explore_load(
    candidates: Iterable[Candidate],
    clocks_mhz: Sequence[int],
    lengths: Sequence[tuple[int, int]],
    rates_per_s: Sequence[float],
) -> LoadSurface:
    """Every combination of the knobs at every rate.

    Args:
        candidates: one for each TP.
        clocks_mhz: SM clocks to ask them for.
        lengths: (prompt tokens, output tokens) of each request.
        rates_per_s: requests per second at one replica.

    Raises:
        ValueError: no combination at all, a size below 1 or a rate that is negative or not finite.
    """
    rows = [
        _point(one, clock, prompt, output, rate)
        for one, clock, (prompt, output), rate in itertools.product(
            candidates, clocks_mhz, lengths, rates_per_s
        )
    ]
    if not rows:
        raise ValueError("expected at least one candidate, clock, pair of lengths and rate")
    names = (one.name for one in fields(LoadSurface))
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return LoadSurface(**{name: np.array(values) for name, values in columns.items()})


def cheapest_at(
    surface: LoadSurface, rate_per_s: float, limits: Limits, *, p99: bool = True
) -> dict[str, float] | None:
    """The row of least energy at one of the explored rates among those that keep up within the limits; None if none.

    Args:
        surface: of one pair of lengths, else lengths compete with each other.
        rate_per_s: as it was explored.
        limits: on TTFT, TBT and E2E; its `tokens_per_s_min` says nothing here, for the rate is given.
        p99: whether TTFT and TBT are held at the 99th percentile, else on average.
    """
    ttft_ms = surface.ttft_ms_p99 if p99 else surface.ttft_ms
    tbt_ms = surface.tbt_ms_p99 if p99 else surface.tbt_ms
    holds = (
        surface.feasible
        & (surface.rate_per_s == rate_per_s)
        & (ttft_ms <= limits.ttft_ms)
        & (tbt_ms <= limits.tbt_ms)
        & (surface.e2e_ms <= limits.e2e_ms)
    )
    rows = np.flatnonzero(holds)
    if rows.size == 0:
        return None
    order = np.lexsort((surface.e2e_ms[rows], surface.power_w[rows]))
    return surface.row(int(rows[order[0]]))


def _point(
    candidate: Candidate, clock: int, prompt: int, output: int, rate_per_s: float
) -> tuple[float, ...]:
    state = steady_state(
        candidate.latency.at_clock(clock),
        candidate.power.at_clock(clock),
        prompt,
        output,
        rate_per_s,
        max(1, candidate.tokens_max // (prompt + output)),
    )
    return (
        candidate.tp,
        clock,
        prompt,
        output,
        rate_per_s,
        state.feasible and prompt + output <= candidate.tokens_max,
        state.batch,
        state.ttft_ms,
        state.tbt_ms,
        state.ttft_ms + (output - 1) * state.tbt_ms,
        state.ttft_ms_p99,
        state.tbt_ms_p99,
        state.power_w,
        state.energy_j(rate_per_s),
    )
