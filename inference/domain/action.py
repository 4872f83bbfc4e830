"""What policies may ask of the mechanism. The driver carries actions out, with their delays, or says why it cannot."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from inference.domain.replica import ReplicaSpec


class Route(NamedTuple):
    """Where a request goes: the same replica twice, or a pair with a KV transfer between them (Splitwise, section 4.1)."""

    prefill: int
    decode: int


class Refuse(NamedTuple):
    """A request is turned away at the door (shed), with the reason for its caller."""

    reason: str


@dataclass(frozen=True, slots=True)
class SetClock:
    """Run a replica's GPUs at this SM clock from the next iteration after `delay_ns`. Caps and the brake stay above it."""

    replica: int
    clock_mhz: int
    delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class SetCap:
    """Bound a replica's SM clock from above (POLCA's out-of-band cap). `clock_mhz` 0 lifts the cap."""

    replica: int
    clock_mhz: int
    delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class SetBrake:
    """Power brake on or off: all GPUs of the replica at their brake clock, above every cap (POLCA, section 2)."""

    replica: int
    engaged: bool
    delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class StartReplica:
    """Bring a replica up; it accepts requests after `delay_ns` and draws idle power meanwhile."""

    spec: ReplicaSpec
    delay_ns: int


@dataclass(frozen=True, slots=True)
class StopReplica:
    """Take no more requests, finish those there, then give the GPUs back."""

    replica: int


@dataclass(frozen=True, slots=True)
class Reshard:
    """Replace running replicas by others on the same GPUs: the old serve until `copy_ns` has passed, then requests move.

    Attributes:
        replicas: those that go.
        specs: those that come, together on as many GPUs or fewer.
        copy_ns: time of the weight transfer (DynamoLLM, section on re-sharding).
        pause_ns: time after it in which neither serves.
    """

    replicas: tuple[int, ...]
    specs: tuple[ReplicaSpec, ...]
    copy_ns: int
    pause_ns: int = 0


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """Take a request that has not started to prefill to another replica."""

    request_id: int
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class ReorderQueue:
    """Prefill waiting requests of a replica in this order (request ids; those left out keep their order behind)."""

    replica: int
    request_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SquashRequest:
    """Give up a request that cannot meet its deadline; it counts as failed."""

    request_id: int
    replica: int


class Precedence(IntEnum):
    """Who overrides whom over a GPU's clock (llm-serving.md, top): smaller wins."""

    BRAKE = 0
    CAP = 1
    POLICY = 2


Action = (
    SetClock
    | SetCap
    | SetBrake
    | StartReplica
    | StopReplica
    | Reshard
    | MoveRequest
    | ReorderQueue
    | SquashRequest
)
