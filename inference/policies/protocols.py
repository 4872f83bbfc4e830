"""The five kinds of policy, and what the driver promises to call.

A policy keeps what state it needs but never reads a clock, a file, a socket or a global random generator. The driver
calls it in one thread, in the order of events; equal times come in the order in which they were queued.
"""

from collections.abc import Sequence
from typing import Protocol

from inference.domain.action import Action, Refuse, Route
from inference.domain.request import Request
from inference.domain.view import ClusterView


class RoutingPolicy(Protocol):
    """Which replica serves a request, or which pair (Router paper, Splitwise's cluster-level scheduler)."""

    @property
    def retry_ns(self) -> int:
        """After how long a request that was held (`None`) is offered again; completions offer it earlier. 0: only those."""
        ...

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        """Decide for the request at the head of the central queue; None holds it there."""
        ...

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """A replica has nothing left to do."""
        ...

    def changed(self, view: ClusterView, now_ns: int) -> None:
        """Replicas came, went, failed, or changed role or pool. Also called once before the first request."""
        ...


class ControlPolicy(Protocol):
    """A periodic decision: scaling, sharding, clocks (DynamoLLM's managers) and power (POLCA) alike."""

    @property
    def period_ns(self) -> int:
        """Time between two calls."""
        ...

    def decide(self, view: ClusterView, now_ns: int) -> Sequence[Action]:
        """Look at the cluster and say what to change."""
        ...


class PowerPolicy(Protocol):
    """A controller of a whole row's power, driven by its telemetry (POLCA, section 5)."""

    @property
    def telemetry_ns(self) -> int:
        """Time between two samples of the row's power."""
        ...

    def sample(self, row_power_w: float, now_ns: int) -> Sequence[Action]:
        """A sample arrived, already as late as telemetry is."""
        ...


class DisaggregationPolicy(Protocol):
    """How a KV cache moves between the two replicas of a route (Splitwise, section 4.3)."""

    def layerwise(self, prompt_tokens: int, source_gpu: str) -> bool:
        """Whether to push each layer's cache while the prefill goes on, instead of all of it afterwards."""
        ...


class LengthPredictor(Protocol):
    """Guesses how much a request will generate, before it does (DynamoLLM's and the router's predictors)."""

    def predict(self, request_id: int, prompt_tokens: int, output_tokens: int) -> int:
        """Predicted output tokens; `output_tokens` is the truth, which a predictor of set accuracy distorts."""
        ...
