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
        cold_starts: sustained ones.
        idle_replicas: on the host that is full of them.
    """

    rounds: int
    requests: int = 1000
    warmup_requests: int = 200
    duration_s: float = 1.0
    warmup_s: float = 0.5
    launches: int = 8
    replicas: int = 20
    cold_starts: int = 10_000
    idle_replicas: int = 1000


FULL = Effort(rounds=5)
QUICK = Effort(
    rounds=2,
    requests=300,
    warmup_requests=50,
    launches=3,
    replicas=5,
    cold_starts=200,
    idle_replicas=50,
)
BODY_BYTES = 600
CONNECTIONS = (8, 64)
"""Of the closed loops; one connection is what the sequential figures are of."""
EDGE = 8
"""The concurrency at which goals and CPU time are stated."""
