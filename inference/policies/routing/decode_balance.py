"""The decode balancer, which knows output lengths beforehand (Intelligent Router, section 3), in three placements."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.routing.chooser import WAIT


@dataclass(slots=True)
class EvenDecodes:
    """Equal sums of output tokens, over all that was ever routed, first come first served: the balancer itself."""

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica that was given the fewest output tokens so far."""
        return min(replicas, key=view.output_tokens_total.__getitem__)


@dataclass(slots=True)
class LeastWorkLeft:
    """The fewest output tokens still to be made by the requests that are at the replica now."""

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica with the fewest."""
        return min(replicas, key=lambda replica: decode_tokens_left(replica, view))


@dataclass(slots=True)
class BinPacking:
    """Best fit: the fullest replica whose KV memory still holds prompt and whole output; wait where none does."""

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica with the least room that is enough."""
        tokens = request.prompt_tokens + request.output_tokens
        best, least = WAIT, 0
        for replica in replicas:
            free = view.kv_capacity_bytes[replica] - view.kv_committed_bytes[replica]
            left = free - tokens * view.kv_bytes_per_token[replica]
            if left >= 0 and (best == WAIT or left < least):
                best, least = replica, left
        return best


def decode_tokens_left(replica: int, view: ClusterView) -> int:
    """Output tokens that requests at a replica still lack, by their predictions."""
    return sum(max(1, one.output_tokens - one.generated_tokens) for one in view.residents(replica))
