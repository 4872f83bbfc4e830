"""Request-level batching: a batch runs to its last token before the next begins (FasterTransformer; Splitwise, section 2.3)."""

from dataclasses import dataclass

from inference.policies.batching.admission import free_bytes, prompts, ready_decodes
from inference.policies.batching.protocol import NO_CHANGE, Selection
from inference.policies.batching.queue import BatchQueue, Stage


@dataclass(frozen=True, slots=True)
class RequestLevelBatching:
    """Whoever waits when the replica is empty goes together; nobody joins meanwhile.

    Attributes:
        requests_max: in a batch.
        tokens_max: prompt tokens in a batch.
    """

    requests_max: int = 512
    tokens_max: int = 2048

    def select(self, queue: BatchQueue) -> Selection:
        """The decodes of this batch's prompts; new prompts only where nothing runs."""
        if queue.decoding:
            return NO_CHANGE  # a cache from elsewhere waits for the next batch, too
        free = free_bytes(queue)
        joining = ready_decodes(queue, self.requests_max, free)
        if not joining and not queue.batch_size:
            joining = prompts(queue, self.requests_max, self.tokens_max, free, cut=False)
        queue.exchange(joining, [])
        return Selection(joining, [])

    def interrupts(self, queue: BatchQueue, stage: Stage) -> bool:
        """Never."""
        return False

    def resumes(self, queue: BatchQueue) -> bool:
        """Never."""
        return False
