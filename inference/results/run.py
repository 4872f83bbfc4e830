"""Everything one simulated run produced, as columns. Definitions of the derived metrics: docs/metrics.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from inference.models.provenance import Provenance

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


class Status(IntEnum):
    """How a request ended."""

    COMPLETED = 0
    REFUSED = 1
    SQUASHED = 2
    UNFINISHED = 3


@dataclass(frozen=True, slots=True, eq=False)
class RequestColumns:
    """One row per request of the trace, in its order. Times are since the start of the run; -1: it never happened.

    Attributes:
        arrival_ns: at the router.
        prefill_start_ns: its first prefill iteration began.
        first_token_ns: its prefill ended.
        decode_start_ns: the first decode iteration that it is in began.
        completion_ns: its last token.
        prompt_tokens, output_tokens, model, priority: of the trace.
        class_id: as routed; -1 without classes.
        prefill_replica, decode_replica: where its phases ran last.
        transfer_ns: visible time of its KV transfer; 0 where it stayed.
        preemptions: times that its decode was put aside.
        restarts: times that it began anew, after a failure or for want of KV memory.
        energy_j: its share of GPU energy: each iteration's, divided by tokens processed (prefill) or requests (decode).
        status: a `Status`.
    """

    arrival_ns: Int64
    prefill_start_ns: Int64
    first_token_ns: Int64
    decode_start_ns: Int64
    completion_ns: Int64
    prompt_tokens: Int64
    output_tokens: Int64
    model: Int64
    priority: Int64
    class_id: Int64
    prefill_replica: Int64
    decode_replica: Int64
    transfer_ns: Int64
    preemptions: Int64
    restarts: Int64
    energy_j: Float64
    status: Int64


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaColumns:
    """One row per replica that ever was.

    Attributes:
        pool, role, model_id, tp: of its spec (last value).
        gpu: names.
        started_ns, stopped_ns: when it held its GPUs; the run's end where it still does.
        prefill_ns, decode_ns, mixed_ns: time in iterations of each kind; the rest is idle.
        iterations: forward passes.
        energy_j: of its GPUs over its life, idle included.
        prompt_tokens, output_tokens: processed there.
    """

    pool: Int64
    role: Int64
    model_id: Int64
    tp: Int64
    gpu: tuple[str, ...]
    started_ns: Int64
    stopped_ns: Int64
    prefill_ns: Int64
    decode_ns: Int64
    mixed_ns: Int64
    iterations: Int64
    energy_j: Float64
    prompt_tokens: Int64
    output_tokens: Int64


@dataclass(frozen=True, slots=True, eq=False)
class SeriesColumns:
    """Samples at a fixed period: row k is of the time from k * period_ns to (k + 1) * period_ns.

    Attributes:
        period_ns: between rows.
        power_w: mean GPU power of the whole cluster over the period.
        pool_power_w: the same by pool, shape (rows, pools).
        pool_gpus: GPUs held by each pool at the end of the period, shape (rows, pools).
        running, waiting: requests in batches and in queues at the end of the period.
    """

    period_ns: int
    power_w: Float64
    pool_power_w: Float64
    pool_gpus: Int64
    running: Int64
    waiting: Int64


@dataclass(frozen=True, slots=True, eq=False)
class IterationColumns:
    """Runs of iterations inside the window that was asked for (for the Chrome trace); a decode run may be many iterations.

    Attributes:
        replica, start_ns, end_ns: where and when.
        prefill_tokens: 0 for a decode run.
        batch: requests that decode.
        iterations: how many forward passes the run merges.
    """

    replica: Int64
    start_ns: Int64
    end_ns: Int64
    prefill_tokens: Int64
    batch: Int64
    iterations: Int64


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """Everything one run produced.

    Attributes:
        name: of the scenario.
        seed: that reproduces it.
        end_ns: simulated time at which it ended.
        requests, replicas: tables.
        series: samples over time; None where none were asked for.
        iterations: of the asked window; None where none was asked for.
        active_tokens_ns: time that replicas spent with n active tokens in a batch, by pool: index n (the last: that or more).
        provenance: of every profile that was used, by what it describes ("latency llama2-70b h100-80gb tp8").
        warnings: what a reader must know: extrapolations with their count, sampling, rate scaling.
        pools: names by pool index.
        models: names by model index.
        events: taken from the heap.
        cpu_s, wall_s: spent by the run itself, without loading.
    """

    name: str
    seed: int
    end_ns: int
    requests: RequestColumns
    replicas: ReplicaColumns
    series: SeriesColumns | None
    iterations: IterationColumns | None
    active_tokens_ns: Mapping[int, Int64]
    provenance: Mapping[str, Provenance]
    warnings: tuple[str, ...]
    pools: tuple[str, ...] = ("all",)
    models: tuple[str, ...] = ("model",)
    events: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)
