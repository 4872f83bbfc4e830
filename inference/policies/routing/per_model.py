"""One policy object for each model, for policies that know replicas of one model only."""

from collections.abc import Callable
from dataclasses import dataclass, field

from inference.domain.action import Refuse, Route
from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.protocols import RoutingPolicy
from inference.policies.routing.masked_view import MaskedView


@dataclass(slots=True)
class PerModel:
    """Keeps models apart: each model's policy sees the other models' replicas as not accepting.

    Attributes:
        make: makes the policy of one model.
    """

    make: Callable[[], RoutingPolicy]
    retry_ns: int = 0
    _policies: dict[int, RoutingPolicy] = field(default_factory=dict)
    _views: dict[int, ClusterView] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.retry_ns = self.make().retry_ns

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        """The answer of the model's policy; None while the model has had no replica."""
        policy = self._policies.get(request.model)
        if policy is None:
            return None
        return policy.route(request, self._views[request.model], now_ns)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """Tell the policy of the replica's model."""
        model = view.model_id[replica]
        if model in self._policies:
            self._policies[model].idle(replica, self._views[model], now_ns)

    def changed(self, view: ClusterView, now_ns: int) -> None:
        """Tell every policy who accepts of its own model; a new model gets a policy."""
        models = sorted(set(view.model_id))
        for model in models:
            if model not in self._policies:
                self._policies[model] = self.make()
        for model, policy in self._policies.items():
            if models == [model]:  # the usual cluster: nothing to hide, nothing in between
                self._views[model] = view
                policy.changed(view, now_ns)
                continue
            accepting = [
                accepts and model == other
                for accepts, other in zip(view.accepting, view.model_id, strict=True)
            ]
            masked = MaskedView(view, accepting)
            self._views[model] = masked
            policy.changed(masked, now_ns)
