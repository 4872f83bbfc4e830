"""What a cluster is driven with: its policies, and the models of its hardware."""

from collections.abc import Callable
from dataclasses import dataclass

from inference.domain.replica import ReplicaSpec
from inference.models.protocols import LatencyModel, PowerModel
from inference.policies.batching.protocol import BatchingPolicy
from inference.policies.protocols import LengthPredictor, RoutingPolicy
from inference.sim.events import EventQueue
from inference.sim.replica import Replica
from inference.sim.transfers import Transfers


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """What a cluster is driven with.

    Attributes:
        routing: which replica serves a request.
        batching: makes the batching policy of a replica.
        latency, power: make the models of a replica at its clock; no power model means that energy is not counted.
        transfers: makes the carrier of KV caches between these replicas (the list grows).
        predictor: what policies are told of a request's output; None tells them the truth.
        classify: the class of a request by its prompt and predicted output; None where policies know no classes.
    """

    routing: RoutingPolicy
    batching: Callable[[ReplicaSpec], BatchingPolicy]
    latency: Callable[[ReplicaSpec], LatencyModel]
    power: Callable[[ReplicaSpec], PowerModel] | None
    transfers: Callable[[EventQueue, list[Replica]], Transfers]
    predictor: LengthPredictor | None = None
    classify: Callable[[int, int], int] | None = None
