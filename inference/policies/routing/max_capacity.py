"""Most free capacity, looked up once a second: a baseline of the router paper (Intelligent Router, section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.domain.request import Request
from inference.domain.view import ClusterView


@dataclass(slots=True)
class MaxCapacity:
    """The replica with the most free KV memory, by readings that are up to `interval_ns` old.

    Between readings its own choices are counted on top, so that a burst does not follow one reading to one replica; that
    requests complete shows at the next. (The paper gives the interval and leaves open what holds in between.)

    Attributes:
        interval_ns: between two readings; 0 reads for every request.
    """

    interval_ns: int = 1_000_000_000
    _free_bytes: dict[int, int] = field(default_factory=dict)
    _next_ns: int = 0

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica with the most."""
        if now_ns >= self._next_ns:
            self._free_bytes.clear()
            self._next_ns = now_ns + self.interval_ns
        free = self._free_bytes
        for replica in replicas:
            if replica not in free:
                free[replica] = view.kv_capacity_bytes[replica] - view.kv_committed_bytes[replica]
        chosen = max(replicas, key=free.__getitem__)
        tokens = request.prompt_tokens + request.output_tokens
        free[chosen] -= tokens * view.kv_bytes_per_token[chosen]
        return chosen
