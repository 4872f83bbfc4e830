"""Turns away what no replica could ever hold, so that it does not block the central queue or a replica for ever."""

from dataclasses import dataclass, field

from inference.domain.action import Refuse, Route
from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.protocols import RoutingPolicy


@dataclass(slots=True)
class Admission:
    """A routing policy behind a check of KV memory: prompt and whole output beside the model's weights.

    The check is of the largest replica of the request's model that accepts now. Where none accepts, the policy decides:
    usually it holds the request until one comes back.

    Attributes:
        policy: asked for everything that fits.
    """

    policy: RoutingPolicy
    _weights_bytes: dict[int, int] = field(default_factory=dict)
    _tokens_max: dict[int, int] = field(default_factory=dict)

    @property
    def retry_ns(self) -> int:
        """The policy's."""
        return self.policy.retry_ns

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        """The policy's answer, or a refusal that says how many tokens would fit."""
        limit = self._tokens_max.get(request.model)
        if limit is not None and request.prompt_tokens + request.output_tokens > limit:
            return Refuse(
                f"{request.prompt_tokens} prompt and {request.output_tokens} output tokens need more KV memory than any"
                f" replica has: expected at most {limit} in all"
            )
        return self.policy.route(request, view, now_ns)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """Pass on."""
        self.policy.idle(replica, view, now_ns)

    def changed(self, view: ClusterView, now_ns: int) -> None:
        """Learn what the largest replica of each model holds, then pass on."""
        self._tokens_max = {}
        for replica, accepts in enumerate(view.accepting):
            # Columns know weights and promises only as a sum: a replica is first seen without promises.
            committed = view.kv_committed_bytes[replica]
            weights = min(committed, self._weights_bytes.get(replica, committed))
            self._weights_bytes[replica] = weights
            if accepts:
                model = view.model_id[replica]
                free_bytes = view.kv_capacity_bytes[replica] - weights
                tokens = max(0, free_bytes // view.kv_bytes_per_token[replica])
                self._tokens_max[model] = max(tokens, self._tokens_max.get(model, 0))
        self.policy.changed(view, now_ns)
