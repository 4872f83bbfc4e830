"""What the servers of a row serve: workloads with their lengths and priorities (POLCA, section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.request import Priority

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request; each server serves one workload only, so a server has a priority.

    Attributes:
        name: for reports.
        share: of the row's servers, and so of its load.
        priority: whom a cap hits first.
        prompt_tokens, output_tokens: smallest and largest length, drawn evenly between them, both included.
    """

    name: str
    share: float
    priority: Priority
    prompt_tokens: tuple[int, int]
    output_tokens: tuple[int, int]

    def lengths(self, count: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
        """Prompt and output tokens of `count` requests."""
        prompts = rng.integers(*self.prompt_tokens, size=count, endpoint=True, dtype=np.int64)
        outputs = rng.integers(*self.output_tokens, size=count, endpoint=True, dtype=np.int64)
        return prompts, outputs


EVALUATION_MIX = (
    Workload("summarize", 0.25, Priority.LOW, (2048, 8192), (256, 512)),
    Workload("search", 0.25, Priority.HIGH, (512, 2048), (1024, 2048)),
    Workload("chat-low", 0.25, Priority.LOW, (2048, 4096), (128, 2048)),
    Workload("chat-high", 0.25, Priority.HIGH, (2048, 4096), (128, 2048)),
)
"""The mix that POLCA is evaluated with: half of the servers are of low priority."""


def servers_by_workload(workloads: Sequence[Workload], servers: int) -> tuple[int, ...]:
    """Whole servers for each workload by its share; those left over go to the largest remainders, earlier ones first."""
    exact = [workload.share * servers for workload in workloads]
    counts = [int(part) for part in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for index in by_remainder[: servers - sum(counts)]:
        counts[index] += 1
    return tuple(counts)
