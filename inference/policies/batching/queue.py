"""What one replica has to do: phases of requests that wait, that run, and that were put aside.

The replica's mechanism (simulated or real) owns the queue and keeps its counters; a batching policy alone moves stages
between its lists. A *stage* is one phase of one request at one replica.
"""

from bisect import insort_right
from enum import IntEnum
from typing import Any

from inference.domain.request import Phase


class StageState(IntEnum):
    """Where a stage is."""

    WAITING = 0
    RUNNING = 1
    BLOCKED = 2
    DONE = 3


# For the hot path: Python 3.11 takes ten times as long for a member of an enum as for a global.
PREFILL, DECODE = Phase
WAITING, RUNNING, BLOCKED, DONE = StageState


class Stage:
    """One phase of one request at one replica. Mutable, and made by the million: slots and no methods in the hot path.

    Attributes:
        job: the request's record, of whatever type drives the replica; policies only compare its identity.
        phase: prefill or decode.
        arrival_ns: of its request at the router: the order of service.
        tokens: prompt tokens still to prefill; 1 for a decode.
        step_tokens: tokens that it takes part with in the iteration at hand; a chunk of `tokens` where prefills are cut.
        left: iterations that a decode still needs, as of when it joined or left the batch.
        context_tokens: tokens in its KV cache when it joined or left the batch.
        kv_bytes: KV memory that it takes when it first runs; 0 once taken.
        reserve_bytes: KV memory that its request's decode will take here after it; 0 where that is elsewhere.
        ready: whether it may run: a decode that waits beside its own prefill may not.
        preemptions: scheduling rounds that passed over it.
        state: where it is.
        finish_at: the queue's `decoded` count at which a running decode is complete.
        order: when it joined the batch, for equal `finish_at`.
        energy_mark: the replica's energy per decode slot when it joined.
    """

    __slots__ = (
        "arrival_ns",
        "context_tokens",
        "energy_mark",
        "finish_at",
        "job",
        "kv_bytes",
        "left",
        "order",
        "phase",
        "preemptions",
        "ready",
        "reserve_bytes",
        "state",
        "step_tokens",
        "tokens",
    )

    def __init__(
        self,
        job: Any,
        phase: Phase,
        arrival_ns: int,
        tokens: int,
        left: int,
        context_tokens: int,
        kv_bytes: int,
        ready: bool,
    ) -> None:
        self.job = job
        self.phase = phase
        self.arrival_ns = arrival_ns
        self.tokens = tokens
        self.step_tokens = tokens
        self.left = left
        self.context_tokens = context_tokens
        self.kv_bytes = kv_bytes
        self.ready = ready
        self.reserve_bytes = 0
        self.preemptions = 0
        self.state = WAITING
        self.finish_at = 0
        self.order = 0
        self.energy_mark = 0.0


def _turn(stage: Stage) -> tuple[int, int]:
    return (stage.preemptions, stage.arrival_ns)


class BatchQueue:
    """Stages of one replica.

    Attributes:
        waiting: everything that is not in the batch, put aside decodes included. Each is inserted by
            (preemptions, arrival); preemptions grow afterwards, so the list is not sorted for ever (Splitwise's rule).
        prefills: the prefills among them, first come first.
        blocked: the decodes among them that ran before and were put aside, in that order.
        decoding: decodes of the batch, in order of joining (a dict, as an ordered set).
        prefilling: prefills of the batch.
        batch_tokens: tokens of the iteration at hand.
        kv_used_bytes, kv_capacity_bytes: memory; weights count as used.
        context_tokens: sum over `decoding` of their KV cache's length.
        decoded: decode iterations that the replica has made so far.
    """

    __slots__ = (
        "batch_tokens",
        "blocked",
        "context_tokens",
        "decoded",
        "decoding",
        "kv_capacity_bytes",
        "kv_used_bytes",
        "prefilling",
        "prefills",
        "waiting",
    )

    def __init__(self, kv_capacity_bytes: int, kv_used_bytes: int) -> None:
        self.waiting: list[Stage] = []
        self.prefills: list[Stage] = []
        self.blocked: list[Stage] = []
        self.decoding: dict[Stage, None] = {}
        self.prefilling: list[Stage] = []
        self.batch_tokens = 0
        self.kv_used_bytes = kv_used_bytes
        self.kv_capacity_bytes = kv_capacity_bytes
        self.context_tokens = 0
        self.decoded = 0

    @property
    def batch_size(self) -> int:
        """Requests in the batch."""
        return len(self.decoding) + len(self.prefilling)

    def enter(self, stage: Stage) -> None:
        """A stage arrives, or comes back, and waits."""
        if self.waiting:
            insort_right(self.waiting, stage, key=_turn)
        else:
            self.waiting.append(stage)
        if stage.phase is PREFILL:
            self.prefills.append(stage)

    def leave(self, stage: Stage) -> None:
        """A waiting stage is taken out: it runs, moves or is given up."""
        self.waiting.remove(stage)
        if stage.phase is PREFILL:
            self.prefills.remove(stage)
        elif stage.state is BLOCKED:
            self.blocked.remove(stage)

    def exchange(self, joining: list[Stage], leaving: list[Stage]) -> None:
        """Move stages between `waiting` and the batch-to-be; the mechanism then takes `joining` in and `leaving` out."""
        for stage in leaving:
            stage.state = BLOCKED
            self.enter(stage)
            self.blocked.append(stage)
        if len(joining) == len(self.waiting):
            self.waiting.clear()
            self.prefills.clear()
            self.blocked.clear()
            return
        for stage in joining:
            self.leave(stage)
