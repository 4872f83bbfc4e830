"""The words of the lifecycle. All values are frozen; times are monotonic nanoseconds.

A replica's life:

    LAUNCHING ──accepts connections──► READY ──surplus, replaced, deleted──► DRAINING ──nothing in flight──► STOPPING
        │                                │                                      │                               │
        └── too late: STOPPING           └── ended by itself ───────────────────┴───────────────────────────────┴──► EXITED ──► forgotten

Only READY and DRAINING replicas have a route, and only those of an accepted generation (see `Desired.candidate`).
"""

from enum import Enum

import msgspec


class Phase(Enum):
    """Where a replica is in its life."""

    LAUNCHING = "launching"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    EXITED = "exited"


LIVE = (Phase.LAUNCHING, Phase.READY)
"""Phases that count towards the wanted replicas."""


class Replica(msgspec.Struct, frozen=True):
    """One sandbox as the lifecycle sees it."""

    sandbox: str
    generation: int
    phase: Phase
    since_ns: int
    """When the phase began."""
    answering: bool = False
    """Accepts connections."""
    drained: bool = False
    detached_since_ns: int | None = None
    """The data plane lost it while its keeper lives."""


class Desired(msgspec.Struct, frozen=True):
    """What should be.

    An update is tried before it is accepted: `candidate` is the generation on trial. It gets one replica; when that
    is ready the generation is accepted, when it fails the candidate is rejected and the accepted one never noticed.
    """

    replicas: int
    generation: int
    """The accepted generation; 0 while a creation is on trial."""
    candidate: int | None = None
    deleted: bool = False


class Route(msgspec.Struct, frozen=True):
    """One entry of the data plane's route table."""

    sandbox: str
    draining: bool = False


class Routes(msgspec.Struct, frozen=True):
    """What the data plane knows of a function: settings of a generation, and replicas."""

    generation: int
    replicas: tuple[Route, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """Why a candidate cannot serve."""

    text: str
    late: bool = False
    """It ran, but did not accept connections in time."""


class Observed(msgspec.Struct, frozen=True):
    """What is.

    `failures` counts ends of the accepted generation in a row; nothing is launched before `retry_at_ns`.
    """

    replicas: tuple[Replica, ...] = ()
    published: Routes | None = None
    failures: int = 0
    retry_at_ns: int = 0
    error: str = ""
    """Why the newest replica is not available; empty once one is."""
    candidate_failure: Failure | None = None
    """Why the candidate cannot serve; None while it may."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The durations and bounds that decisions use. What an operator sets has no default here: `Settings` holds it."""

    ready_timeout_ns: int
    drain_timeout_ns: int
    stop_timeout_ns: int
    """After this a stop has hung: the keeper is killed, and the sandbox with it."""
    attach_timeout_ns: int
    backoff_first_ns: int = 10_000_000
    backoff_max_ns: int
    healthy_after_ns: int
    launches_max: int = 4
    """Replicas of one function that start at the same time."""


def backoff_ns(failures: int, policy: Policy) -> int:
    """The delay before the next launch: doubling from the first, bounded."""
    if failures <= 0:
        return 0
    # The shift is bounded too: a function may fail for years.
    return min(policy.backoff_first_ns << min(failures - 1, 40), policy.backoff_max_ns)
