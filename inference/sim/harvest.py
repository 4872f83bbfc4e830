"""Turns what a finished run recorded into columns."""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from inference.results.run import (
    IterationColumns,
    ReplicaColumns,
    RequestColumns,
    RunResult,
    SeriesColumns,
    Status,
)
from inference.sim.cluster import Cluster
from inference.sim.ledger import IterationLog, Ledger
from inference.sim.operations import Operations
from inference.sim.series import Series
from inference.traces.trace import Trace

if TYPE_CHECKING:
    from inference.sim.simulation import Plan


def harvest(
    plan: "Plan", cluster: Cluster, operations: Operations, end_ns: int, spent: tuple[float, float]
) -> RunResult:
    """The result of a run that has ended at `end_ns` and took `spent` (CPU, wall) seconds."""
    ledger = cluster.ledger
    pools = _named(plan.pools, 1 + max(cluster.columns.pool, default=0), "pool")
    return RunResult(
        name=plan.name,
        seed=plan.seed,
        end_ns=end_ns,
        requests=_requests(plan.trace, ledger),
        replicas=_replicas(cluster, end_ns),
        series=None if ledger.series is None else _series(ledger.series, len(pools), end_ns),
        iterations=None if ledger.log is None else _iterations(ledger.log),
        active_tokens_ns={
            pool: np.array(bins, dtype=np.int64) for pool, bins in ledger.active_tokens_ns.items()
        },
        provenance=dict(plan.provenance),
        warnings=(
            *_unfinished(plan.trace, ledger, end_ns),
            *_evicted(cluster.evicted),
            *plan.warnings(),
        ),
        pools=pools,
        models=plan.models,
        events=cluster.events.taken,
        cpu_s=spent[0],
        wall_s=spent[1],
        facts={f"actions_{kind}": str(count) for kind, count in sorted(operations.applied.items())},
    )


def _named(names: tuple[str, ...], count: int, word: str) -> tuple[str, ...]:
    return names + tuple(f"{word} {index}" for index in range(len(names), count))


def _unfinished(trace: Trace, ledger: Ledger, end_ns: int) -> tuple[str, ...]:
    left = ledger.status.count(Status.UNFINISHED)
    if not left:
        return ()
    late = int(np.count_nonzero(trace.arrival_ns >= end_ns))
    return (
        f"{left} requests were not finished when the run ended, {late} of which had not arrived; latencies leave them out",
    )


def _evicted(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    return (
        f"{count} times a request gave up its cache and was prefilled anew, because KV memory was full of caches that waited"
        " for more; reserve the memory of outputs, or admit fewer requests",
    )


def _whole(values: "array[int]") -> npt.NDArray[np.int64]:
    return np.frombuffer(values, dtype=np.int64)


def _requests(trace: Trace, ledger: Ledger) -> RequestColumns:
    return RequestColumns(
        arrival_ns=trace.arrival_ns,
        prefill_start_ns=_whole(ledger.prefill_start_ns),
        first_token_ns=_whole(ledger.first_token_ns),
        decode_start_ns=_whole(ledger.decode_start_ns),
        completion_ns=_whole(ledger.completion_ns),
        prompt_tokens=trace.prompt_tokens,
        output_tokens=trace.output_tokens,
        model=trace.model,
        priority=trace.priority,
        class_id=_whole(ledger.class_id),
        prefill_replica=_whole(ledger.prefill_replica),
        decode_replica=_whole(ledger.decode_replica),
        transfer_ns=_whole(ledger.transfer_ns),
        preemptions=_whole(ledger.preemptions),
        restarts=_whole(ledger.restarts),
        energy_j=np.frombuffer(ledger.energy_j, dtype=np.float64),
        status=_whole(ledger.status),
    )


def _replicas(cluster: Cluster, end_ns: int) -> ReplicaColumns:
    totals, columns = cluster.ledger.replicas, cluster.columns

    def whole(values: Sequence[int]) -> npt.NDArray[np.int64]:
        return np.array(values, dtype=np.int64)

    return ReplicaColumns(
        pool=whole(columns.pool),
        role=whole(columns.role),
        model_id=whole(columns.model_id),
        tp=whole(columns.tp),
        gpu=tuple(replica.spec.gpu.name for replica in cluster.replicas),
        started_ns=whole([one.started_ns for one in totals]),
        stopped_ns=whole([end_ns if one.stopped_ns < 0 else one.stopped_ns for one in totals]),
        prefill_ns=whole([one.prefill_ns for one in totals]),
        decode_ns=whole([one.decode_ns for one in totals]),
        mixed_ns=whole([one.mixed_ns for one in totals]),
        iterations=whole([one.iterations for one in totals]),
        energy_j=np.array([one.energy_j for one in totals], dtype=np.float64),
        prompt_tokens=whole([one.prompt_tokens for one in totals]),
        output_tokens=whole([one.output_tokens for one in totals]),
    )


def _series(series: Series, pools: int, end_ns: int) -> SeriesColumns:
    """Rows cover the run; the last may be cut short by its end, its power is the mean over what there was."""
    rows = -(-end_ns // series.period_ns)
    energy_j = np.zeros((rows, pools))
    for pool, bins in series.energy_j.items():
        for row, joules in bins.items():
            energy_j[min(row, rows - 1), pool] += joules
    spans_s = np.full(rows, series.period_ns * 1e-9)
    if rows:
        spans_s[-1] = (end_ns - (rows - 1) * series.period_ns) * 1e-9
    power_w = energy_j / spans_s[:, None]
    running, waiting = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    gpus = np.zeros((rows, pools), dtype=np.int64)
    for row, gauge in enumerate(series.gauges[:rows]):
        running[row], waiting[row] = gauge[0], gauge[1]
        for pool, count in gauge[2].items():
            gpus[row, pool] = count
    return SeriesColumns(series.period_ns, power_w.sum(axis=1), power_w, gpus, running, waiting)


def _iterations(log: IterationLog) -> IterationColumns:
    columns = np.array(sorted(log.rows, key=lambda row: row[1]), dtype=np.int64).reshape(-1, 6)
    replica, start, end, tokens, batch, iterations = columns.T
    return IterationColumns(replica, start, end, tokens, batch, iterations)
