"""What each knob costs and gives: throughput, times, power and energy over batch, TP, clock and lengths (Greener LLMs).

Every point plays one full batch: all its prompts are prefilled, in iterations of up to `PREFILL_TOKENS_MAX` tokens, then
all decode together to the end. That is a replica at its limit; at part load see `steady_state`. Two ways to count energy
of a request are both kept, for papers differ:

- its share: energy of the batch / requests in it (ours, everywhere else);
- while it is there: mean power of the replica x its E2E time, shared with nobody. Only this reading of DynamoLLM's figures
  (0.77 and 13.21 Wh per request) is physically possible at its 2,000 tokens/s, and it has its minimum at other clocks.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.replica import Gpu, Model
from inference.models.catalog import gpu_by_name, model_by_name
from inference.models.kv import kv_budget
from inference.models.latency import latency_model
from inference.models.power import power_model
from inference.models.protocols import LatencyModel, PowerModel
from inference.models.steady_state import PREFILL_TOKENS_MAX

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

TPS = (2, 4, 8)
CLOCKS_MHZ = (800, 1000, 1200, 1400, 1600, 1800, 1980)
"""DynamoLLM's range for the H100: 800 to 1,980 MHz in steps of 200."""
BATCHES = (1, 2, 4, 8, 16, 32, 64)
LENGTHS = ((128, 64), (512, 256), (1024, 128), (2048, 512))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica whose knobs are to be explored.

    Attributes:
        tp: GPUs.
        latency, power: at any clock; the explorer asks for others.
        tokens_max: that its KV cache holds.
    """

    tp: int
    latency: LatencyModel
    power: PowerModel
    tokens_max: int


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One row per setting; columns of equal length.

    Attributes:
        tp, clock_mhz, batch, prompt_tokens, output_tokens: the setting.
        fits: whether weights and all contexts of the batch fit into memory. The other figures stand all the same.
        ttft_ms: until every prompt of the batch is prefilled.
        tbt_ms: mean gap between tokens.
        e2e_ms: both phases.
        tokens_per_s: generated, by the replica.
        power_w: mean of the replica's GPUs over the batch.
        energy_j_per_token: of prefill and decode, by generated token.
        energy_j_per_request: the batch's energy by its requests.
        energy_j_while_there: mean power x E2E time.
        decode_power_w, decode_j_per_token: of the decode phase alone.
    """

    tp: Int64
    clock_mhz: Int64
    batch: Int64
    prompt_tokens: Int64
    output_tokens: Int64
    fits: Bool
    ttft_ms: Float64
    tbt_ms: Float64
    e2e_ms: Float64
    tokens_per_s: Float64
    power_w: Float64
    energy_j_per_token: Float64
    energy_j_per_request: Float64
    energy_j_while_there: Float64
    decode_power_w: Float64
    decode_j_per_token: Float64

    def __len__(self) -> int:
        return len(self.tp)

    def columns(self) -> Mapping[str, npt.NDArray[Any]]:
        """All columns by name, in order; fit for a table, CSV or Parquet."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def where(self, rows: Bool | Int64) -> "Surface":
        """Those rows only: a mask, or indices in the wanted order."""
        return Surface(**{name: column[rows] for name, column in self.columns().items()})

    def at(self, **setting: int) -> "Surface":
        """Rows with these values of the setting's columns: `surface.at(tp=8, batch=16)`."""
        rows = np.ones(len(self), dtype=np.bool_)
        for name, value in setting.items():
            rows &= getattr(self, name) == value
        return self.where(rows)

    def row(self, index: int) -> dict[str, float]:
        """One row by column name."""
        return {name: column[index].item() for name, column in self.columns().items()}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a setting must hold; infinite times and a rate of 0 bind nothing."""

    ttft_ms: float = float("inf")
    tbt_ms: float = float("inf")
    e2e_ms: float = float("inf")
    tokens_per_s_min: float = 0.0


def explore(
    candidates: Iterable[Candidate],
    clocks_mhz: Sequence[int],
    batches: Sequence[int],
    lengths: Sequence[tuple[int, int]],
) -> Surface:
    """Every combination of the knobs.

    Args:
        candidates: one for each TP.
        clocks_mhz: SM clocks to ask them for.
        batches: requests at once.
        lengths: (prompt tokens, output tokens) of each request; output at least 1.

    Raises:
        ValueError: no combination at all, or a size below 1.
    """
    rows = []
    for candidate, clock, batch, (prompt, output) in itertools.product(
        candidates, clocks_mhz, batches, lengths
    ):
        if min(batch, prompt, output) < 1:
            raise ValueError(f"sizes must be at least 1: {batch=}, {prompt=}, {output=}")
        rows.append(_point(candidate, clock, batch, prompt, output))
    if not rows:
        raise ValueError("expected at least one candidate, clock, batch and pair of lengths")
    columns = dict(zip((one.name for one in fields(Surface)), zip(*rows, strict=True), strict=True))
    return Surface(**{name: np.array(values) for name, values in columns.items()})


def explore_model(
    model: str | Model = "llama2-70b",
    gpu: str | Gpu = "h100-80gb",
    tps: Sequence[int] = TPS,
    clocks_mhz: Sequence[int] = CLOCKS_MHZ,
    batches: Sequence[int] = BATCHES,
    lengths: Sequence[tuple[int, int]] = LENGTHS,
) -> Surface:
    """The same for a model and GPU of the catalogue, in context mode.

    Raises:
        ProfileError: nobody profiled one of the combinations.
        ScenarioError: no such model or GPU, or the weights do not fit at one of the TPs.
    """
    chosen = model_by_name(model) if isinstance(model, str) else model
    on = gpu_by_name(gpu) if isinstance(gpu, str) else gpu
    return explore([candidate(chosen, on, tp) for tp in tps], clocks_mhz, batches, lengths)


def candidate(model: Model, gpu: Gpu, tp: int) -> Candidate:
    """A replica from the shipped profiles, a tenth of its memory kept for activations."""
    budget = kv_budget(model, gpu, tp, reserve_share=0.1)
    return Candidate(
        tp,
        latency_model(model, gpu, tp, "context"),
        power_model(model, gpu, tp),
        budget.tokens,
    )


def cheapest(
    surface: Surface, limits: Limits, by: str = "energy_j_per_token"
) -> dict[str, float] | None:
    """The row that is least in one column among those that fit and hold the limits; None where none does.

    Ties go to the fastest, then to the first.

    Raises:
        ValueError: no such column.
    """
    if by not in surface.columns():
        raise ValueError(f"expected a column of {list(surface.columns())}, found {by!r}")
    holds = (
        surface.fits
        & (surface.ttft_ms <= limits.ttft_ms)
        & (surface.tbt_ms <= limits.tbt_ms)
        & (surface.e2e_ms <= limits.e2e_ms)
        & (surface.tokens_per_s >= limits.tokens_per_s_min)
    )
    rows = np.flatnonzero(holds)
    if rows.size == 0:
        return None
    order = np.lexsort((rows, surface.e2e_ms[rows], surface.columns()[by][rows]))
    return surface.row(int(rows[order[0]]))


def best_clock(surface: Surface, by: str = "energy_j_per_token") -> Surface:
    """For each setting of the other knobs the row of the clock that is least in a column: the bend of energy over clock."""
    others = ("tp", "batch", "prompt_tokens", "output_tokens")
    keys = np.stack([getattr(surface, name) for name in others], axis=1)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    order = np.lexsort((surface.columns()[by], group.reshape(-1)))
    _, first = np.unique(group.reshape(-1)[order], return_index=True)
    return surface.where(order[first])


def _point(
    candidate: Candidate, clock: int, batch: int, prompt: int, output: int
) -> tuple[float, ...]:
    latency, power = candidate.latency.at_clock(clock), candidate.power.at_clock(clock)
    together = min(batch, max(1, PREFILL_TOKENS_MAX // prompt))
    whole, rest = divmod(batch, together)
    prefill_ns = prefill_nj = 0.0
    for count, prompts in ((whole, together), (1 if rest else 0, rest)):
        if count:
            duration = count * latency.prefill_ns(prompts * prompt, 0)
            prefill_ns += duration
            prefill_nj += duration * power.prefill_w(prompts * prompt)
    gaps = output - 1
    decode_ns = float(latency.decode_ns(batch, batch * (prompt + 1), gaps)) if gaps else 0.0
    decode_w = power.decode_w(batch, batch * prompt)
    total_ns = prefill_ns + decode_ns
    joules = (prefill_nj + decode_ns * decode_w) / 1e9
    return (
        candidate.tp,
        clock,
        batch,
        prompt,
        output,
        batch * (prompt + output) <= candidate.tokens_max,
        prefill_ns / 1e6,
        decode_ns / gaps / 1e6 if gaps else 0.0,
        total_ns / 1e6,
        batch * output / total_ns * 1e9,
        joules / total_ns * 1e9,
        joules / (batch * output),
        joules / batch,
        joules,
        decode_w,
        decode_ns * decode_w / 1e9 / (batch * gaps) if gaps else 0.0,
    )
