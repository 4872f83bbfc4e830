"""How much the side-by-side run does: under a quarter of an hour in all, or a quick look."""

from dataclasses import dataclass

ENDS = (1, 8, 64)
"""Of the closed loops that are measured in less detail."""
CONNECTIONS = (1, 2, 8, 32, 64)
"""Of the closed loops."""
OPEN_CONNECTIONS = 64
"""Of the open loops: as many as the most of the closed ones, so that the generator is not what queues."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes of a run.

    Attributes:
        rounds: interleaved rounds; figures are medians over them.
        requests: sequential invocations per round on one connection.
        fresh: sequential invocations per round, each on a connection of its own.
        connections: of the closed loops, one loop each.
        loop_s: each closed loop.
        shares: of each system's own peak in the same round, one open loop each, in percent.
        open_s: each open loop.
        warmup_s: unmeasured load before the first round and before each open loop.
        launches: cold starts per round and kind.
        replicas: idle replicas for the memory figures.
    """

    rounds: int = 5
    requests: int = 500
    fresh: int = 200
    connections: tuple[int, ...] = CONNECTIONS
    loop_s: float = 2.0
    shares: tuple[int, ...] = (25, 50, 75, 90)
    open_s: float = 2.0
    warmup_s: float = 0.5
    launches: int = 3
    replicas: int = 10


FULL = Effort()
QUICK = Effort(
    rounds=2,
    requests=100,
    fresh=50,
    connections=ENDS,
    loop_s=1.0,
    shares=(75,),
    open_s=1.0,
    launches=1,
    replicas=3,
)
