"""A prefill and a decode replica from fixed pools: disaggregation without Splitwise's mixed pool, its baseline."""

from dataclasses import dataclass, field

from inference.domain.action import Refuse, Route
from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.routing.chooser import WAIT, Chooser
from inference.policies.routing.roster import Roster


@dataclass(slots=True)
class PairRouting:
    """One chooser for each phase; replicas never leave their home pools, mixed ones belong to both.

    Attributes:
        prefill, decode: choosers of the two phases.
        retry_ns: after how long a request that a chooser lets wait is offered again.
    """

    prefill: Chooser
    decode: Chooser
    retry_ns: int = 0
    _roster: Roster = field(default_factory=Roster)

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        """A pair; None while either pool of the model is empty, or a chooser waits."""
        prefills = self._roster.prefill.get(request.model)
        decodes = self._roster.decode.get(request.model)
        if not prefills or not decodes:
            return None
        prefill = self.prefill.choose(prefills, request, view, now_ns)
        if prefill == WAIT:
            return None
        decode = self.decode.choose(decodes, request, view, now_ns)
        return None if decode == WAIT else Route(prefill, decode)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """Nothing to do: replicas stay in their pools."""

    def changed(self, view: ClusterView, now_ns: int) -> None:
        """Note who accepts."""
        self._roster.refresh(view)
