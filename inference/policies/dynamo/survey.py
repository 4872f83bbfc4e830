"""Surveys a replica's models into an `EnergyProfile`: loads are added where power bends (DynamoLLM, section III-C)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from inference.domain.replica import Gpu, Model
from inference.models.protocols import LatencyModel, PowerModel
from inference.models.provenance import Provenance
from inference.policies.dynamo.profile import CLOCKS_MHZ, TPS, Cell, EnergyProfile
from inference.policies.dynamo.steady import ReplicaLoad, Steady
from inference.policies.dynamo.workload import Workload

# The KV cache of a replica may fill what its weights leave of this share of memory; activations have the rest.
MEMORY_SHARE = 0.9

# A cell is refined until no middle of two loads is further than this from the line between them.
_ERROR_MAX = 0.01
_POINTS_MAX = 16
_BISECTIONS = 12


@dataclass(frozen=True, slots=True)
class Bench:
    """What is surveyed.

    Attributes:
        model, gpu: of the replica.
        latency, power: models of the replica at a TP, at the highest clock.
        idle_gpu_w: of a GPU without a replica.
        provenance: the weaker of both models'.
    """

    model: Model
    gpu: Gpu
    latency: Callable[[int], LatencyModel]
    power: Callable[[int], PowerModel]
    idle_gpu_w: float
    provenance: Provenance


def batch_max(model: Model, gpu: Gpu, tp: int, tokens: float) -> int:
    """Requests of `tokens` each whose KV cache fits beside the weights; 0 where the weights do not fit."""
    free = gpu.memory_bytes * tp * MEMORY_SHARE - model.weights_bytes
    return max(0, int(free / (model.kv_bytes_per_token * tokens)))


def survey(
    workloads: Sequence[Workload],
    bench: Bench,
    tps: Sequence[int] = TPS,
    clocks_mhz: Sequence[int] = CLOCKS_MHZ,
) -> EnergyProfile:
    """Profile of every workload at every TP and clock."""
    cells: dict[tuple[int, int, int], Cell] = {}
    for tp in tps:
        latency, power = bench.latency(tp), bench.power(tp)
        for clock in clocks_mhz:
            slow, cool = latency.at_clock(clock), power.at_clock(clock)
            for index, workload in enumerate(workloads):
                tokens = workload.prompt_tokens_mean + workload.output_tokens_mean
                room = batch_max(bench.model, bench.gpu, tp, tokens)
                cells[index, tp, clock] = cell_of(ReplicaLoad(slow, cool, workload, room))
    names = [workload.name for workload in workloads]
    return EnergyProfile(names, cells, bench.idle_gpu_w, bench.provenance, tps, clocks_mhz)


def cell_of(replica: ReplicaLoad) -> Cell:
    """The loads that a replica keeps its objectives at, as few as describe its power."""
    load_max = _load_max(replica)
    if load_max <= 0:
        return Cell((), (), (), (), (), replica.prefill_ms, replica.prompt_tokens)
    points = {float(load): replica.at(float(load)) for load in np.linspace(0.0, load_max, 5)}
    _refine(replica, points)
    loads = tuple(sorted(points))
    states = [points[load] for load in loads]
    return Cell(
        loads,
        tuple(state.power_w for state in states),
        # Not falling, so that it can be inverted.
        tuple(np.maximum.accumulate([state.batch for state in states]).tolist()),
        tuple(state.ttft_ms_p99 for state in states),
        tuple(state.tbt_ms_p99 for state in states),
        replica.prefill_ms,
        replica.prompt_tokens,
    )


def _load_max(replica: ReplicaLoad) -> float:
    if not replica.at(1e-3).feasible:
        return 0.0
    low, high = 1e-3, 2e-3
    while replica.at(high).feasible:
        low, high = high, high * 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if replica.at(middle).feasible else (low, middle)
    return low


def _refine(replica: ReplicaLoad, points: dict[float, Steady]) -> None:
    pending = [*pairwise(sorted(points))]
    while pending and len(points) < _POINTS_MAX:
        low, high = pending.pop(0)
        middle = (low + high) / 2
        state = replica.at(middle)
        straight = (points[low].power_w + points[high].power_w) / 2
        if abs(straight - state.power_w) > _ERROR_MAX * state.power_w:
            points[middle] = state
            pending += [(low, middle), (middle, high)]
