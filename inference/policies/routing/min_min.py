"""Earliest completion first: the router paper's min-min (Intelligent Router, section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.routing.iteration_cost import IterationCost, context_of


@dataclass(slots=True)
class MinMin:
    """The replica that would complete the request first: prompts before it, its own, then its decode among the others.

    Min-min takes, of all waiting requests, the one that completes soonest. A router serves the head of its queue, so only
    the inner minimum is left here, over replicas; the order of the queue is that of arrival.

    Attributes:
        cost: of iterations.
    """

    cost: IterationCost = field(default_factory=IterationCost)

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The replica with the earliest completion."""
        return min(replicas, key=lambda replica: self.completion_s(replica, request, view))

    def completion_s(self, replica: int, request: Request, view: ClusterView) -> float:
        """Estimated time until the replica has completed the request."""
        prefill_s = self.cost.prefill_s_per_token * (
            view.pending_tokens[replica] + request.prompt_tokens
        )
        own = request.prompt_tokens + request.output_tokens / 2
        return prefill_s + request.output_tokens * self.cost.iteration_s(
            0, context_of(view.residents(replica)) + own
        )
