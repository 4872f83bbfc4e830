"""Join the shortest queue, by four measures of length. Among equals the lowest index wins, so that runs repeat."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.domain.request import Request
from inference.domain.view import ClusterView


@dataclass(slots=True)
class FewestRequests:
    """Requests that wait or run at the replica: JSQ as queueing theory has it."""

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica with the fewest."""
        waiting, running = view.waiting_requests, view.running_requests
        return min(replicas, key=lambda replica: waiting[replica] + running[replica])


@dataclass(slots=True)
class FewestPendingTokens:
    """Pending tokens: prompts not yet prefilled, and one for each decode (Splitwise, section 4.2)."""

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica with the fewest."""
        return min(replicas, key=view.pending_tokens.__getitem__)


@dataclass(slots=True)
class FewestTokensLeft:
    """Prompt and decode tokens that are still to be processed: the router paper's JSQ (Intelligent Router, section 6).

    Outputs are the predicted ones. Costs time in proportion to the requests at all replicas.
    """

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica with the fewest."""
        return min(replicas, key=lambda replica: tokens_left(replica, view))


@dataclass(slots=True)
class LeastKvMemory:
    """KV memory promised, as a share of the replica's own: for decodes, which memory bounds (Splitwise, section 4.2)."""

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica with the least."""
        committed, capacity = view.kv_committed_bytes, view.kv_capacity_bytes
        return min(replicas, key=lambda replica: committed[replica] / capacity[replica])


def tokens_left(replica: int, view: ClusterView) -> int:
    """Prompt tokens of requests that have no token yet, and output tokens that all of them still lack."""
    left = 0
    for resident in view.residents(replica):
        # A prediction that was too short leaves one token: it is not over before it says so.
        left += max(1, resident.output_tokens - resident.generated_tokens)
        if not resident.generated_tokens:
            left += resident.prompt_tokens
    return left
