"""Continuous batching: requests join and leave between iterations (Orca; Splitwise, section 2.3)."""

from dataclasses import dataclass

from inference.policies.batching.admission import free_bytes, prompts, ready_decodes
from inference.policies.batching.protocol import Selection
from inference.policies.batching.queue import BatchQueue, Stage


@dataclass(frozen=True, slots=True)
class ContinuousBatching:
    """Prompts have iterations of their own, during which decodes stand still ("continuous" in Splitwise's figure 2).

    Attributes:
        requests_max: in the batch.
        tokens_max: prompt tokens in an iteration; a longer prompt goes alone.
    """

    requests_max: int = 512
    tokens_max: int = 2048

    def select(self, queue: BatchQueue) -> Selection:
        """Decodes that are ready, then prompts; with prompts, the decodes pause."""
        room = self.requests_max - len(queue.decoding)
        free = free_bytes(queue)
        joining = ready_decodes(queue, room, free)
        left = free - sum([stage.kv_bytes for stage in joining])
        admitted = prompts(queue, room - len(joining), self.tokens_max, left, cut=False)
        joining += admitted
        queue.exchange(joining, [])
        return Selection(joining, [], paused=bool(admitted))

    def interrupts(self, queue: BatchQueue, stage: Stage) -> bool:
        """Whenever it may run and there is room."""
        return stage.ready and queue.batch_size < self.requests_max

    def resumes(self, queue: BatchQueue) -> bool:
        """Whenever there is room."""
        return queue.batch_size < self.requests_max


@dataclass(frozen=True, slots=True)
class MixedBatching:
    """Prompts and decodes share iterations ("mixed continuous"); with `chunked`, long prompts are cut (Sarathi-Serve).

    Attributes:
        requests_max: in the batch.
        tokens_max: tokens in an iteration, decodes first; without `chunked` a longer prompt still goes whole.
        chunked: cut prompts so that no iteration exceeds `tokens_max`.
    """

    requests_max: int = 512
    tokens_max: int = 2048
    chunked: bool = False

    def select(self, queue: BatchQueue) -> Selection:
        """Every decode, prompts that are under way, then new prompts in what is left of the tokens."""
        room = self.requests_max - queue.batch_size
        free = free_bytes(queue)
        joining = ready_decodes(queue, room, free)
        left = free - sum([stage.kv_bytes for stage in joining])
        tokens = max(1, self.tokens_max - len(queue.decoding) - len(joining))
        for stage in queue.prefilling:
            stage.step_tokens = min(stage.tokens, max(1, tokens))
            tokens -= stage.step_tokens
        if tokens > 0:
            joining += prompts(queue, room - len(joining), tokens, left, cut=self.chunked)
        queue.exchange(joining, [])
        return Selection(joining, [])

    def interrupts(self, queue: BatchQueue, stage: Stage) -> bool:
        """Whenever it may run and there is room."""
        return stage.ready and queue.batch_size < self.requests_max

    def resumes(self, queue: BatchQueue) -> bool:
        """Whenever there is room."""
        return queue.batch_size < self.requests_max
