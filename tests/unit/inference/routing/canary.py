"""Policies that are wrong on purpose. The conformance suite must catch each; if it does not, the suite is broken."""

from dataclasses import dataclass, field
from typing import cast

from inference.domain.action import Refuse, Route
from inference.domain.request import Request
from inference.domain.view import ClusterView


@dataclass
class Canary:
    """Routes to the first replica of the model, with one wrong habit.

    Attributes:
        habit: "deaf" never hears that replicas went; "starver" serves everything at one replica; "leaker" holds a request for
            ever; "shedder" refuses what fits; "mixer" takes other models' replicas; "writer" writes into the view; "moody"
            decides by an object's address; "greedy" takes what no replica can hold.
    """

    habit: str
    retry_ns: int = 0
    _accepting: list[bool] = field(default_factory=list)

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        mine = [
            index
            for index, accepts in enumerate(self._accepting)
            if accepts and (view.model_id[index] == request.model or self.habit == "mixer")
        ]
        if not mine:
            return None
        if self.habit != "greedy" and request.prompt_tokens + request.output_tokens > 4000:
            return Refuse("too large")
        if self.habit == "leaker" and request.request_id % 5 == 3:
            return None
        if self.habit == "shedder" and request.prompt_tokens > 100:
            return Refuse("too long for me")
        if self.habit == "writer":
            cast("list[int]", view.pending_tokens)[mine[0]] = 0
        chosen = mine[0] if self.habit == "starver" else mine[request.request_id % len(mine)]
        if self.habit == "moody":
            chosen = mine[id(self) // 64 % len(mine)]
        return Route(chosen, chosen)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        pass

    def changed(self, view: ClusterView, now_ns: int) -> None:
        if self.habit == "deaf" and self._accepting:
            return
        self._accepting = list(view.accepting)
