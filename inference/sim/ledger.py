"""What a run records while it goes: request times as flat arrays, and time, energy and power of replicas."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from inference.policies.batching.queue import PREFILL, BatchQueue, Stage
from inference.results.run import Status
from inference.sim.job import Job
from inference.sim.series import Series

NEVER = -1
ACTIVE_TOKENS_MAX = 4096
"""Batches with as many active tokens or more share the last bin of the histogram."""


@dataclass(slots=True)
class IterationLog:
    """Runs of iterations that overlap a window.

    Attributes:
        begin_ns, end_ns: the window.
        rows: (replica, start, end, prefill tokens, batch, iterations).
    """

    begin_ns: int
    end_ns: int
    rows: list[tuple[int, int, int, int, int, int]]


class ReplicaTotals:
    """Running totals of one replica: time by kind of iteration in ns, energy in J, tokens.

    Attributes:
        active_tokens_ns: of its pool, shared by all replicas of it.
        decode_energy_j: energy that one decode slot has had since the start: a decode's share is the difference over its
            stay.
    """

    __slots__ = (
        "active_tokens_ns",
        "decode_energy_j",
        "decode_ns",
        "energy_j",
        "idle_energy_j",
        "iterations",
        "mixed_ns",
        "output_tokens",
        "pool",
        "prefill_ns",
        "prompt_tokens",
        "started_ns",
        "stopped_ns",
    )

    def __init__(self, pool: int, started_ns: int, active_tokens_ns: list[int]) -> None:
        self.pool = pool
        self.active_tokens_ns = active_tokens_ns
        self.started_ns = started_ns
        self.stopped_ns = NEVER
        self.prefill_ns = self.decode_ns = self.mixed_ns = 0
        self.iterations = self.prompt_tokens = self.output_tokens = 0
        self.energy_j = self.idle_energy_j = 0.0
        self.decode_energy_j = 0.0

    def in_batch_energy_j(self, queue: BatchQueue) -> float:
        """Energy of decodes that are still in the batch, not yet charged to their requests."""
        return sum(self.decode_energy_j - stage.energy_mark for stage in queue.decoding)


def _times(rows: int) -> "array[int]":
    return array("q", [NEVER]) * rows


def _zeros(rows: int) -> "array[int]":
    return array("q", [0]) * rows


class Ledger:
    """Columns of requests by request id, totals by replica index, and histograms by pool.

    Attributes:
        series: samples over time, or None.
        log: runs of iterations in a window, or None.
        active_tokens_ns: by pool, time that its replicas spent with n active tokens (index n).
    """

    __slots__ = (
        "active_tokens_ns",
        "class_id",
        "completion_ns",
        "decode_replica",
        "decode_start_ns",
        "energy_j",
        "first_token_ns",
        "log",
        "preemptions",
        "prefill_replica",
        "prefill_start_ns",
        "replicas",
        "restarts",
        "series",
        "status",
        "transfer_ns",
    )

    def __init__(self, requests: int, series: Series | None, log: IterationLog | None) -> None:
        self.prefill_start_ns = _times(requests)
        self.first_token_ns = _times(requests)
        self.decode_start_ns = _times(requests)
        self.completion_ns = _times(requests)
        self.class_id = _times(requests)
        self.prefill_replica = _times(requests)
        self.decode_replica = _times(requests)
        self.transfer_ns = _zeros(requests)
        self.preemptions = _zeros(requests)
        self.restarts = _zeros(requests)
        self.energy_j = array("d", [0.0]) * requests
        self.status = array("q", [Status.UNFINISHED]) * requests
        self.replicas: list[ReplicaTotals] = []
        self.series = series
        self.log = log
        self.active_tokens_ns: dict[int, list[int]] = {}

    def open(self, pool: int, now_ns: int) -> None:
        """A replica comes; it gets the next index."""
        bins = self.active_tokens_ns.setdefault(pool, [0] * (ACTIVE_TOKENS_MAX + 1))
        self.replicas.append(ReplicaTotals(pool, now_ns, bins))

    # --- called by replicas ---------------------------------------------------------------------

    def starts(self, stage: Stage, now_ns: int) -> None:
        """A stage's first iteration begins: its request holds its KV memory from now on."""
        job: Job = stage.job
        job.kv_bytes += stage.kv_bytes
        stage.kv_bytes = 0
        times = self.prefill_start_ns if stage.phase is PREFILL else self.decode_start_ns
        times[job.request[0]] = now_ns

    def decode_energy_j(self, replica: int) -> float:
        """Energy that a decode slot of the replica has had so far."""
        return self.replicas[replica].decode_energy_j

    def decodes_settle(self, replica: int, stages: Sequence[Stage]) -> None:
        """Decodes leave a batch: their requests are charged the energy of their stay."""
        now_j = self.replicas[replica].decode_energy_j
        for stage in stages:
            row = stage.job.request[0]
            self.energy_j[row] += now_j - stage.energy_mark
            if stage.left:
                self.preemptions[row] += 1

    def book(
        self,
        replica: int,
        since_ns: int,
        now_ns: int,
        power_w: float,
        prefill_tokens: int,
        queue: BatchQueue,
        iterations: int,
    ) -> None:
        """A replica spent a span of time on one run of iterations, or idle (`iterations` 0)."""
        totals = self.replicas[replica]
        span_ns = now_ns - since_ns
        energy_j = power_w * span_ns * 1e-9
        totals.energy_j += energy_j
        if iterations:
            tokens = queue.batch_tokens
            totals.active_tokens_ns[
                tokens if tokens < ACTIVE_TOKENS_MAX else ACTIVE_TOKENS_MAX
            ] += span_ns
            totals.iterations += iterations
            batch = tokens - prefill_tokens
            if not prefill_tokens:
                totals.decode_ns += span_ns
            elif batch:
                totals.mixed_ns += span_ns
            else:
                totals.prefill_ns += span_ns
            # By tokens where the run prefills, evenly among its decodes.
            each_j = energy_j / tokens
            if batch:
                totals.decode_energy_j += each_j
            if prefill_tokens:
                self._charge(queue.prefilling, each_j)
            if self.log is not None and since_ns < self.log.end_ns and now_ns > self.log.begin_ns:
                row = (replica, since_ns, now_ns, prefill_tokens, batch, iterations)
                self.log.rows.append(row)
        else:
            totals.idle_energy_j += energy_j
        if self.series is not None:
            self.series.spend(totals.pool, since_ns, now_ns, power_w, energy_j)

    def _charge(self, prefilling: Sequence[Stage], each_j: float) -> None:
        """Charge prefills with the energy of their tokens."""
        for stage in prefilling:
            self.energy_j[stage.job.request[0]] += each_j * stage.step_tokens
