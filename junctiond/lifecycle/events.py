"""How an observation changes the observed state. Pure; an event about an unknown sandbox changes nothing."""

import msgspec
from msgspec.structs import replace

from junctiond.lifecycle.state import (
    LIVE,
    Desired,
    Failure,
    Observed,
    Phase,
    Policy,
    Replica,
    backoff_ns,
)


class Launched(msgspec.Struct, frozen=True):
    """A launch action was begun under this sandbox id."""

    sandbox: str
    generation: int


class Refused(msgspec.Struct, frozen=True):
    """A launch could not even begin (no address, no image, no binary)."""

    generation: int
    error: str


class Answering(msgspec.Struct, frozen=True):
    """The replica accepts connections."""

    sandbox: str


class Attached(msgspec.Struct, frozen=True):
    """The data plane serves the sandbox."""

    sandbox: str


class Detached(msgspec.Struct, frozen=True):
    """The data plane lost the sandbox."""

    sandbox: str


class Drained(msgspec.Struct, frozen=True):
    """Nothing is in flight in a draining replica, or waiting longer is pointless."""

    sandbox: str


class Exited(msgspec.Struct, frozen=True):
    """The sandbox is gone with all its processes."""

    sandbox: str
    error: str


Event = Launched | Refused | Answering | Attached | Detached | Drained | Exited


def apply(
    observed: Observed, event: Event, desired: Desired, now_ns: int, policy: Policy
) -> Observed:
    """The state after `event`."""
    match event:
        case Launched(sandbox, generation):
            replica = Replica(sandbox, generation, Phase.LAUNCHING, now_ns)
            return replace(observed, replicas=(*observed.replicas, replica))
        case Refused(generation, error):
            return failed(observed, generation, Failure(error), desired, now_ns, policy)
        case Answering(sandbox):
            return _change(observed, sandbox, answering=True)
        case Attached(sandbox):
            return _change(observed, sandbox, detached_since_ns=None)
        case Detached(sandbox):
            replica_or_none = find(observed, sandbox)
            if replica_or_none is None or replica_or_none.detached_since_ns is not None:
                return observed
            return _change(observed, sandbox, detached_since_ns=now_ns)
        case Drained(sandbox):
            return _change(observed, sandbox, drained=True)
        case Exited(sandbox, error):
            return _exited(observed, sandbox, error, desired, now_ns, policy)


def find(observed: Observed, sandbox: str) -> Replica | None:
    """The replica of a sandbox."""
    return next((one for one in observed.replicas if one.sandbox == sandbox), None)


def failed(
    observed: Observed,
    generation: int,
    failure: Failure,
    desired: Desired,
    now_ns: int,
    policy: Policy,
) -> Observed:
    """A replica of `generation` ended without being asked to.

    Ends within one backoff count once: they have one cause, and a function of many replicas must not back off further
    than one of a single replica.
    """
    if generation == desired.candidate:
        return replace(observed, candidate_failure=observed.candidate_failure or failure)
    if generation != desired.generation:
        return observed
    if now_ns < observed.retry_at_ns:
        return replace(observed, error=failure.text)
    failures = observed.failures + 1
    retry_at_ns = now_ns + backoff_ns(failures, policy)
    return replace(observed, failures=failures, retry_at_ns=retry_at_ns, error=failure.text)


def accepted(desired: Desired, observed: Observed) -> tuple[Desired, Observed]:
    """The candidate becomes the generation, with a clean record."""
    assert desired.candidate is not None
    desired = replace(desired, generation=desired.candidate, candidate=None)
    return desired, replace(observed, failures=0, retry_at_ns=0, error="", candidate_failure=None)


def rejected(desired: Desired, observed: Observed) -> tuple[Desired, Observed]:
    """The candidate is given up; with it a function that had nothing but it."""
    deleted = desired.deleted or desired.generation == 0
    desired = replace(desired, candidate=None, deleted=deleted)
    return desired, replace(observed, candidate_failure=None)


def _exited(
    observed: Observed, sandbox: str, error: str, desired: Desired, now_ns: int, policy: Policy
) -> Observed:
    replica = find(observed, sandbox)
    if replica is None or replica.phase is Phase.EXITED:
        return observed
    if replica.phase in LIVE:
        ran_ns = now_ns - replica.since_ns
        if replica.phase is Phase.READY and ran_ns >= policy.healthy_after_ns:
            observed = replace(observed, failures=0)
        failure = Failure(error)
        observed = failed(observed, replica.generation, failure, desired, now_ns, policy)
    return _change(observed, sandbox, phase=Phase.EXITED, since_ns=now_ns)


def _change(observed: Observed, sandbox: str, **changes: object) -> Observed:
    replicas = tuple(
        replace(one, **changes) if one.sandbox == sandbox else one for one in observed.replicas
    )
    return replace(observed, replicas=replicas)
