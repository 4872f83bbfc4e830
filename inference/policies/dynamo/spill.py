"""Where load goes that a pool cannot carry: upwards, to the next larger class (DynamoLLM, section IV-B and IV-C)."""

from collections.abc import Sequence
from typing import NamedTuple

from inference.policies.dynamo.classes import Taxonomy
from inference.policies.dynamo.profile import EnergyProfile


class Spill(NamedTuple):
    """Load of pools once what they cannot carry has moved.

    Attributes:
        carried: by each pool, in requests of its own class per second, for its objectives.
        unmet: what no pool carries, in servers' worth.
        work: the same as `carried`, for its energy.
    """

    carried: tuple[float, ...]
    unmet: float
    work: tuple[float, ...]


class Equivalence:
    """Converts load between classes: a request weighs what share of a server it takes (TP8, highest clock)."""

    def __init__(self, profile: EnergyProfile, taxonomy: Taxonomy) -> None:
        """Take each class' weight from the profile."""
        self._taxonomy = taxonomy
        tp = profile.tps[-1]
        self.server_load = tuple(profile.load_max(k, tp) for k in range(len(taxonomy)))

    def weight(self, source: int, target: int) -> float:
        """How many requests of class `target` one request of class `source` is worth; 1 where either is unprofiled."""
        own, other = self.server_load[source], self.server_load[target]
        return other / own if own > 0 and other > 0 else 1.0

    def work(self, source: int, target: int) -> float:
        """The same for energy, which objectives do not bend: no request draws more than one that is longer in both.

        A class whose outputs are short may sustain a lower rate than the next larger one, because a prefill that stalls
        it is shared among fewer tokens. By `weight` it is worth more than one of those; its work is not.
        """
        weight = self.weight(source, target)
        if self._taxonomy.dominates(target, source):
            return min(1.0, weight)
        return max(1.0, weight) if self._taxonomy.dominates(source, target) else weight

    def spill(
        self,
        load_per_s: Sequence[float],
        capacity_per_s: Sequence[float],
        work_per_s: Sequence[float] | None = None,
    ) -> Spill:
        """Carry what fits, and hand the rest to the next larger class; `work_per_s` goes along, by default the load."""
        carried = list(load_per_s)
        work = list(load_per_s if work_per_s is None else work_per_s)
        unmet = 0.0
        order = sorted(range(len(carried)), key=lambda k: (sum(self._taxonomy.bins(k)), k))
        for pool in order:
            excess = carried[pool] - capacity_per_s[pool]
            if excess <= 0:
                continue
            moved = work[pool] * excess / carried[pool]
            carried[pool] = capacity_per_s[pool]
            work[pool] -= moved
            larger = self._taxonomy.next_larger(pool)
            if larger is None:
                unmet += excess / self.server_load[pool] if self.server_load[pool] > 0 else excess
            else:
                carried[larger] += excess * self.weight(pool, larger)
                work[larger] += moved * self.work(pool, larger)
        return Spill(tuple(carried), unmet, tuple(work))
