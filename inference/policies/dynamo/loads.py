"""What the cluster frontend tells the managers: arrivals by class, and load by replica."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from inference.policies.dynamo.spill import Equivalence

# A replica's load is forgotten with this time constant: long against arrivals, short against a manager's epoch.
MEMORY_S = 30.0


@dataclass(slots=True)
class _Gauge:
    """Exponentially weighted rate of one replica, as of `at_ns`; it began at `born_ns`."""

    born_ns: int
    at_ns: int
    per_s: float = 0.0

    def settle(self, now_ns: int) -> None:
        self.per_s *= math.exp(-(now_ns - self.at_ns) / 1e9 / MEMORY_S)
        self.at_ns = now_ns


class LoadBook:
    """Counts requests as they are routed. The frontend writes it, the managers read it."""

    def __init__(self, classes: int, equivalence: Equivalence | None = None) -> None:
        """Start at zero.

        Args:
            classes: how many there are.
            equivalence: weighs a request that spilled into a larger class' pool; without it all weigh 1.
        """
        self._equivalence = equivalence
        self._arrived = [0] * classes
        self._since_ns = 0
        self._gauges: dict[int, _Gauge] = {}

    def arrived(self, class_id: int) -> None:
        """A request of this (predicted) class came."""
        self._arrived[class_id] += 1

    def routed(self, replica: int, class_id: int, pool: int, now_ns: int) -> None:
        """It went to a replica of this pool."""
        gauge = self._gauges.get(replica)
        if gauge is None:
            gauge = self._gauges[replica] = _Gauge(now_ns, now_ns)
        gauge.settle(now_ns)
        gauge.per_s += self.weight(class_id, pool) / MEMORY_S

    def weight(self, class_id: int, pool: int) -> float:
        """How many requests of the pool's own class one of this class is worth."""
        return 1.0 if self._equivalence is None else self._equivalence.weight(class_id, pool)

    def take_arrivals(self, now_ns: int) -> list[float] | None:
        """Arrivals per second of each class since the last call; None where no time has passed."""
        elapsed_s = (now_ns - self._since_ns) / 1e9
        if elapsed_s <= 0:
            return None
        rates = [count / elapsed_s for count in self._arrived]
        self._arrived = [0] * len(rates)
        self._since_ns = now_ns
        return rates

    def load(self, replica: int, now_ns: int) -> float:
        """Load of a replica in requests of its pool's class per second.

        A young replica's exponential memory has not filled yet, so its load is taken over its life, at least a tenth of
        the memory: a first request alone tells no rate.
        """
        gauge = self._gauges.get(replica)
        if gauge is None:
            return 0.0
        gauge.settle(now_ns)
        age_s = max((now_ns - gauge.born_ns) / 1e9, MEMORY_S / 10)
        return gauge.per_s / -math.expm1(-age_s / MEMORY_S)

    def keep(self, replicas: Iterable[int]) -> None:
        """Forget all other replicas."""
        alive = set(replicas)
        for replica in [one for one in self._gauges if one not in alive]:
            del self._gauges[replica]
