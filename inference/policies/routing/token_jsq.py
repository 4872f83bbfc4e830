"""Join the shortest queue, in pending tokens: Splitwise's baseline clusters (Splitwise, section 6)."""

from dataclasses import dataclass, field

from inference.domain.action import Refuse, Route
from inference.domain.request import Request
from inference.domain.view import ClusterView


@dataclass(slots=True)
class TokenJsq:
    """Both phases at the replica with the fewest pending tokens; the lowest index among equals."""

    retry_ns: int = 0
    _models: dict[int, list[int]] = field(default_factory=dict)
    _everyone: dict[int, bool] = field(default_factory=dict)

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        """The replica with the shortest queue among those of the request's model; None while none accepts."""
        replicas = self._models.get(request.model)
        if not replicas:
            return None
        pending = view.pending_tokens
        if self._everyone[
            request.model
        ]:  # the usual cluster: a search without a call for each replica
            best = pending.index(min(pending))
        else:
            best = min(replicas, key=pending.__getitem__)
        return Route(best, best)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """Nothing to do: queues tell everything."""

    def changed(self, view: ClusterView, now_ns: int) -> None:
        """Note which replicas of each model accept requests."""
        self._models = {}
        for index, accepts in enumerate(view.accepting):
            if accepts:
                self._models.setdefault(view.model_id[index], []).append(index)
        count = len(view.accepting)
        self._everyone = {model: len(found) == count for model, found in self._models.items()}
