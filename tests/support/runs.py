"""Runs as a driver would leave them, made by formula: no simulator is behind them."""

import dataclasses

import numpy as np

from inference.domain.slo import RequestClass
from inference.models.provenance import Origin, Provenance
from inference.results.run import (
    IterationColumns,
    ReplicaColumns,
    RequestColumns,
    RunResult,
    SeriesColumns,
    Status,
)
from inference.results.slowdown import Reference
from inference.results.summary import Summary, summarise

MS = 1_000_000
S = 1_000_000_000

PROVENANCE = {
    "latency bloom-176b a100-80gb tp8": Provenance(
        Origin.MEASURED, "Splitwise's authors", "DGX-A100", "2023", "splitwise-sim, MIT"
    ),
    "power bloom-176b h100-80gb tp8": Provenance(
        Origin.MODELLED, "us", "H100 at 1980 MHz", "2026", "curve of A100", "scaled by TDP"
    ),
    "price h100": Provenance(Origin.QUOTED, "Splitwise, table 1", "DGX-H100", "2024", "paper"),
}


def ints(*values):
    return np.array(values, dtype=np.int64)


def floats(*values):
    return np.array(values, dtype=np.float64)


def requests_of(count: int, seed: int = 1) -> RequestColumns:
    """Requests on a prefill replica (0) and a decode replica (1); all complete."""
    random = np.random.default_rng(seed)
    arrival = np.sort(random.integers(0, max(count, 1) * 20 * MS, count))
    prompts = random.integers(1, 4000, count)
    outputs = random.integers(1, 500, count)
    start = arrival + random.integers(0, 50 * MS, count)
    first = start + prompts * 100_000
    transfer = np.where(outputs > 1, prompts * 5_000, 0)
    decode = first + transfer + random.integers(0, 5 * MS, count)
    several = outputs > 1
    completion = np.where(several, decode + (outputs - 1) * 40 * MS, first)
    return RequestColumns(
        arrival_ns=arrival,
        prefill_start_ns=start,
        first_token_ns=first,
        decode_start_ns=np.where(several, decode, -1),
        completion_ns=completion,
        prompt_tokens=prompts,
        output_tokens=outputs,
        model=np.zeros(count, dtype=np.int64),
        priority=random.integers(0, 2, count),
        class_id=np.full(count, -1, dtype=np.int64),
        prefill_replica=np.zeros(count, dtype=np.int64),
        decode_replica=np.where(several, 1, 0),
        transfer_ns=transfer,
        preemptions=random.integers(0, 3, count),
        restarts=np.zeros(count, dtype=np.int64),
        energy_j=random.random(count) * 100,
        status=np.full(count, int(Status.COMPLETED), dtype=np.int64),
    )


def replicas_of(end_ns: int, energy_j: float) -> ReplicaColumns:
    """A prefill replica, and a decode replica that uses twice its energy."""
    return ReplicaColumns(
        pool=ints(0, 1),
        role=ints(0, 1),
        model_id=ints(0, 0),
        tp=ints(8, 8),
        gpu=("h100-80gb", "a100-80gb"),
        started_ns=ints(0, 0),
        stopped_ns=ints(end_ns, end_ns),
        prefill_ns=ints(end_ns // 2, 0),
        decode_ns=ints(0, end_ns // 4),
        mixed_ns=ints(0, end_ns // 4),
        iterations=ints(10, 100),
        energy_j=floats(energy_j / 3, energy_j * 2 / 3),
        prompt_tokens=ints(1000, 0),
        output_tokens=ints(10, 990),
    )


def series_of(rows: int) -> SeriesColumns:
    """A power curve of two pools, and queues."""
    angle = np.arange(rows) / 20
    pools = np.stack([3000 + 1000 * np.sin(angle), 2000 + 500 * np.cos(angle)], axis=1)
    return SeriesColumns(
        period_ns=S,
        power_w=pools.sum(axis=1),
        pool_power_w=pools,
        pool_gpus=np.stack([np.full(rows, 8), 8 + np.arange(rows) // 10 % 3 * 8], axis=1),
        running=(10 + 5 * np.sin(angle)).astype(np.int64),
        waiting=(3 + 3 * np.cos(angle)).astype(np.int64),
    )


def iterations_of() -> IterationColumns:
    return IterationColumns(
        replica=ints(0, 1, 1, 0),
        start_ns=ints(0, 100 * MS, 400 * MS, 500 * MS + 1),
        end_ns=ints(90 * MS, 400 * MS, 450 * MS, 600 * MS + 1),
        prefill_tokens=ints(1500, 0, 512, 700),
        batch=ints(0, 8, 9, 0),
        iterations=ints(1, 10, 1, 1),
    )


def run_of(count: int, seed: int = 1, name: str = "synthetic") -> RunResult:
    """A run with every table."""
    requests = requests_of(count, seed)
    end_ns = int(requests.completion_ns.max()) if count else S
    spent = np.zeros(512, dtype=np.int64)
    spent[:60] = np.arange(60, 0, -1) * S
    return RunResult(
        name=name,
        seed=seed,
        end_ns=end_ns,
        requests=requests,
        replicas=replicas_of(end_ns, float(requests.energy_j.sum()) * 1.25),
        series=series_of(min(max(end_ns // S, 1), 400)),
        iterations=iterations_of(),
        active_tokens_ns={0: spent, 1: spent[::-1].copy()},
        provenance=PROVENANCE,
        warnings=("latency asked outside its profile 3 times: extrapolated",),
        pools=("prefill", "decode"),
        models=("bloom-176b",),
        events=1234,
        cpu_s=0.5,
        wall_s=0.7,
        facts={"trace": "azure conv 2023"},
    )


def changed(run: RunResult, **columns) -> RunResult:
    """The run with some columns of its requests replaced."""
    return dataclasses.replace(run, requests=dataclasses.replace(run.requests, **columns))


def with_status(run: RunResult, **status: Status) -> RunResult:
    """The run with requests `rN=Status` ended otherwise than completed."""
    codes = run.requests.status.copy()
    completion = run.requests.completion_ns.copy()
    for row, one in status.items():
        codes[int(row[1:])] = one
        completion[int(row[1:])] = -1
    return changed(run, status=codes, completion_ns=completion)


def one_request(**columns) -> RunResult:
    """A run of a single request: 1,000 prompt tokens, 11 output tokens, times in round figures.

    Arrives at 1 s, starts to prefill at 1.05 s, first token at 1.2 s, decodes from 1.25 s on
    replica 1 after 20 ms of visible transfer, completes at 1.65 s.
    """
    values = {
        "arrival_ns": ints(1000 * MS),
        "prefill_start_ns": ints(1050 * MS),
        "first_token_ns": ints(1200 * MS),
        "decode_start_ns": ints(1250 * MS),
        "completion_ns": ints(1650 * MS),
        "prompt_tokens": ints(1000),
        "output_tokens": ints(11),
        "model": ints(0),
        "priority": ints(0),
        "class_id": ints(-1),
        "prefill_replica": ints(0),
        "decode_replica": ints(1),
        "transfer_ns": ints(20 * MS),
        "preemptions": ints(2),
        "restarts": ints(0),
        "energy_j": floats(300.0),
        "status": ints(Status.COMPLETED),
    }
    return RunResult(
        name="one",
        seed=7,
        end_ns=2 * S,
        requests=RequestColumns(**{**values, **columns}),
        replicas=replicas_of(2 * S, 3600.0),
        series=None,
        iterations=None,
        active_tokens_ns={},
        provenance=PROVENANCE,
        warnings=(),
        pools=("prefill", "decode"),
    )


CLASSES = [
    RequestClass("S", 255, 10**9, 250.0, 100.0),
    RequestClass("L", 10**9, 10**9, 2000.0, 100.0),
]
REFERENCE = Reference(
    "a100", lambda prompts: prompts * 100_000, lambda prompts: prompts * 0 + 40 * MS
)


def whole(run: RunResult) -> Summary:
    """A summary with everything that can be asked for."""
    return summarise(
        run,
        classes=CLASSES,
        reference=REFERENCE,
        carbon_g=lambda one: float(one.replicas.energy_j.sum()) / 3.6e6 * 400,
        cost_usd=lambda _: 12.5,
    )
