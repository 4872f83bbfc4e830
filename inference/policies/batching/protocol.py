"""What the mechanism of a replica asks of its batching policy."""

from typing import NamedTuple, Protocol

from inference.policies.batching.queue import BatchQueue, Stage


class Selection(NamedTuple):
    """How the batch changes before the next iteration.

    Attributes:
        joining: stages that waited and run from now on, in this order.
        leaving: decodes of the batch that are put aside; they keep their KV memory.
        paused: whether the remaining decodes stand still for this one iteration.
    """

    joining: list[Stage]
    leaving: list[Stage]
    paused: bool = False


NO_CHANGE = Selection([], [], False)


class BatchingPolicy(Protocol):
    """Chooses each iteration's batch (Splitwise, sections 2 and 4.2; Orca; Sarathi)."""

    def select(self, queue: BatchQueue) -> Selection:
        """Between two iterations: who joins and who stands aside; moves them with `BatchQueue.exchange`.

        Called only while something waits or a prompt is under way.
        """
        ...

    def interrupts(self, queue: BatchQueue, stage: Stage) -> bool:
        """A stage has come to wait while others run: end the run of decode iterations at its next boundary?"""
        ...

    def resumes(self, queue: BatchQueue) -> bool:
        """KV memory was given back while others run and something waits: end the run at its next boundary?"""
        ...
