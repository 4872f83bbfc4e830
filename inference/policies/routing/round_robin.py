"""Round robin: the router paper's main baseline (Intelligent Router, section 6)."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.domain.request import Request
from inference.domain.view import ClusterView


@dataclass(slots=True)
class RoundRobin:
    """Replicas in turn, by index, each model's in its own turn; those that come or go do not disturb the others' turn."""

    _last: dict[int, int] = field(default_factory=dict)

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The next index after the last chosen, or the first."""
        after = bisect_right(replicas, self._last.get(request.model, -1))
        chosen = replicas[after] if after < len(replicas) else replicas[0]
        self._last[request.model] = chosen
        return chosen
