"""Random routing: each replica with the same probability."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.domain.request import Request
from inference.domain.view import ClusterView


@dataclass(slots=True)
class Uniform:
    """Any replica, whatever its load; the floor that a policy with knowledge must beat.

    Attributes:
        seed: of its draws.
    """

    seed: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """A draw."""
        return replicas[self._random.randrange(len(replicas))]
