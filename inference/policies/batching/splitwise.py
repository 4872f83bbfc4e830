"""Splitwise's machine-level scheduler (Splitwise, section 4.2), by the rules that its published simulator follows.

Prompts first, first come first, up to a number of tokens; the rest of the iteration goes to decodes. Decodes that find
no room stand aside, and after a number of rounds go before prompts. KV memory is reserved for the whole output when a
stage first runs.
"""

from dataclasses import dataclass

from inference.domain.request import Phase
from inference.policies.batching.protocol import NO_CHANGE, Selection
from inference.policies.batching.queue import BLOCKED, BatchQueue, Stage

DECODE = Phase.DECODE  # looked up once: members of an enum cost a descriptor's call each


@dataclass(slots=True)
class _Room:
    """What is still free of an iteration while it is filled."""

    stages: int
    tokens: int
    kv_bytes: int
    joining: list[Stage]
    jobs: set[int]
    reserves: bool
    promised_bytes: int = 0

    def closed_to(self, tokens: int) -> bool:
        """Whether an iteration that already has work must not take this much more. An empty one takes anything."""
        return bool(self.jobs) and tokens > self.tokens

    def take(self, stage: Stage) -> None:
        self.stages -= 1
        self.tokens -= stage.tokens
        self.jobs.add(id(stage.job))
        self.joining.append(stage)

    def take_if_memory(self, stage: Stage) -> bool:
        """Put aside decodes hold their memory already."""
        if stage.state is not BLOCKED:
            if stage.kv_bytes > self.kv_bytes:
                return False
            if self.reserves and not self._promise(stage):
                return False
            self.kv_bytes -= stage.kv_bytes
        self.take(stage)
        return True

    def _promise(self, stage: Stage) -> bool:
        """A decode takes what it was promised; a prompt needs room for its output beside all promises."""
        if stage.phase is DECODE:
            self.promised_bytes -= stage.kv_bytes
            return True
        if stage.kv_bytes + stage.reserve_bytes > self.kv_bytes - self.promised_bytes:
            return False
        self.promised_bytes += stage.reserve_bytes
        return True


@dataclass(frozen=True, slots=True)
class SplitwiseBatching:
    """Prompts before decodes, bounded by tokens, with a bound on how often a stage is passed over.

    Attributes:
        requests_max: stages in an iteration.
        tokens_max: tokens in an iteration, unless a single prompt is longer (beyond some 2,048 prefill loses throughput).
        preemptions_max: rounds after which a waiting stage goes first.
        reserve_outputs: begin a prompt only where its output has room as well. The published simulator does not, and
            fills memory with prompts that cannot go on; then the youngest are prefilled anew.
    """

    requests_max: int = 512
    tokens_max: int = 2048
    preemptions_max: int = 4
    reserve_outputs: bool = False

    def select(self, queue: BatchQueue) -> Selection:
        """Starving stages, then prompts, put aside decodes, the running decodes, and what else waits."""
        if not queue.waiting:
            return NO_CHANGE
        free = queue.kv_capacity_bytes - queue.kv_used_bytes
        room = _Room(self.requests_max, self.tokens_max, free, [], set(), self.reserve_outputs)
        if self.reserve_outputs:
            ready = [one for one in queue.waiting if one.ready and one.phase is DECODE]
            room.promised_bytes = sum([one.kv_bytes for one in ready])
        if queue.waiting[0].preemptions >= self.preemptions_max:
            self._starving(queue, room)
        if queue.prefills:
            self._prompts(queue, room)
        if queue.blocked:
            self._put_aside(queue, room)
        running = len(queue.decoding)
        kept = max(0, min(running, room.stages, room.tokens))
        room.stages -= kept
        room.tokens -= kept
        if kept == running and len(room.joining) < len(queue.waiting):
            self._others(queue, room, kept)
        leaving = [] if kept == running else list(queue.decoding)[kept:]
        queue.exchange(room.joining, leaving)
        for stage in queue.waiting:
            if stage.ready:
                stage.preemptions += 1
        return Selection(room.joining, leaving)

    def interrupts(self, queue: BatchQueue, stage: Stage) -> bool:
        """If it fits the next iteration, or is a prompt that fits beside the running ones once decodes stand aside."""
        if (
            queue.batch_size < self.requests_max
            and queue.batch_tokens + stage.tokens <= self.tokens_max
        ):
            return True
        prompt_tokens = queue.batch_tokens - len(queue.decoding)
        return (
            stage.tokens > 1
            and bool(queue.decoding)
            and prompt_tokens + stage.tokens <= self.tokens_max
        )

    def resumes(self, queue: BatchQueue) -> bool:
        """If the running iteration has room."""
        return queue.batch_size < self.requests_max and queue.batch_tokens < self.tokens_max

    def _starving(self, queue: BatchQueue, room: _Room) -> None:
        for stage in queue.waiting:
            if stage.preemptions < self.preemptions_max:
                return
            if not room.stages or room.closed_to(stage.tokens):
                return
            if id(stage.job) not in room.jobs:
                room.take_if_memory(stage)

    def _prompts(self, queue: BatchQueue, room: _Room) -> None:
        for stage in queue.prefills:
            if not room.stages or room.closed_to(stage.tokens):
                return
            if id(stage.job) not in room.jobs and not room.take_if_memory(stage):
                return

    def _put_aside(self, queue: BatchQueue, room: _Room) -> None:
        for stage in queue.blocked:
            if not room.stages or room.closed_to(stage.tokens):
                return
            if id(stage.job) not in room.jobs:
                room.take(stage)

    def _others(self, queue: BatchQueue, room: _Room, running: int) -> None:
        if not room.stages or (room.tokens < 1 and (running or room.jobs)):
            return  # nothing could join: do not look through what may be a long queue
        waiting = [one for one in queue.waiting if one.ready and id(one.job) not in room.jobs]
        waiting.sort(key=_arrival)
        for stage in waiting:
            occupied = running > 0 or bool(room.jobs)
            if not room.stages or (occupied and stage.tokens > room.tokens):
                return
            if not room.take_if_memory(stage):
                return


def _arrival(stage: Stage) -> int:
    return stage.arrival_ns
