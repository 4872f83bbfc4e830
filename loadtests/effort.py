"""How much a measurement does: enough to trust, or just enough to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes of a run.

    Attributes:
        rounds: interleaved rounds; figures are medians over them.
        requests: sequential invocations per round.
        warmup_requests: unmeasured ones before them.
        duration_s: each closed loop.
        warmup_s: unmeasured load on each target before the first round.
        launches: cold starts per round and kind.
        replicas: idle replicas for the memory figures.
    """

    rounds: int
    requests: int = 1000
    warmup_requests: int = 200
    duration_s: float = 3.0
    warmup_s: float = 1.0
    launches: int = 10
    replicas: int = 20


FULL = Effort(rounds=5)
QUICK = Effort(rounds=2, requests=300, warmup_requests=50, duration_s=1.0, launches=3, replicas=5)
BODY_BYTES = 600
CONNECTIONS = (1, 8, 64)
"""Of the closed loops."""
EDGE = 8
"""The concurrency at which goals and CPU time are stated."""
