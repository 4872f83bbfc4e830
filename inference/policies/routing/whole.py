"""Both phases of a request at one replica."""

from dataclasses import dataclass, field

from inference.domain.action import Refuse, Route
from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.routing.chooser import WAIT, Chooser
from inference.policies.routing.roster import Roster


@dataclass(slots=True)
class WholeRouting:
    """Routes a whole request to the replica that its chooser names.

    Attributes:
        chooser: names it.
        retry_ns: after how long a request that the chooser lets wait is offered again.
    """

    chooser: Chooser
    retry_ns: int = 0
    _roster: Roster = field(default_factory=Roster)

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        """The chooser's replica; None while no replica of the model accepts, or the chooser waits."""
        replicas = self._roster.everyone.get(request.model)
        if not replicas:
            return None
        chosen = self.chooser.choose(replicas, request, view, now_ns)
        return None if chosen == WAIT else Route(chosen, chosen)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """Nothing to do: a chooser reads the view."""

    def changed(self, view: ClusterView, now_ns: int) -> None:
        """Note who accepts."""
        self._roster.refresh(view)
