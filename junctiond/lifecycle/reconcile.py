"""The decision: desired and observed state in, actions and the next observed state out. Pure.

Order of the actions matters and is kept by whoever performs them: routes go out before a replica drains, so that jnetd
has stopped sending to it when `drain` begins to wait.

Rules
 1. Never fewer ready replicas of the accepted generation and its forerunners together than before an update, until
    the new generation has taken over one by one.
 2. A candidate gets one replica; nobody is routed to it before it is accepted.
 3. A function that fails is launched again after a bounded, doubling delay; a replica that stays ready resets it.
 4. What is not wanted drains before it stops, unless it never had a route.
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from junctiond.lifecycle.events import failed
from junctiond.lifecycle.state import (
    LIVE,
    Desired,
    Failure,
    Observed,
    Phase,
    Policy,
    Replica,
    Route,
    Routes,
)


class Launch(msgspec.Struct, frozen=True):
    """Start one replica of a generation; answered by `Launched` at once or by `Refused`."""

    generation: int


class NoteReady(msgspec.Struct, frozen=True):
    """A replica became ready: worth remembering across a restart of the daemon."""

    sandbox: str


class Accept(msgspec.Struct, frozen=True):
    """The candidate is ready: make it the accepted generation."""

    generation: int


class Reject(msgspec.Struct, frozen=True):
    """The candidate failed: forget it, tell its caller."""

    generation: int
    failure: Failure


class Publish(msgspec.Struct, frozen=True):
    """Put the function into the data plane."""

    routes: Routes


class Withdraw(msgspec.Struct, frozen=True):
    """Take the function out of the data plane."""


class Drain(msgspec.Struct, frozen=True):
    """Wait until nothing is in flight, then report `Drained`."""

    sandbox: str


class Stop(msgspec.Struct, frozen=True):
    """SIGTERM, grace, SIGKILL; reported by `Exited`."""

    sandbox: str


class Kill(msgspec.Struct, frozen=True):
    """The stop hung: end the keeper, and so the sandbox, at once."""

    sandbox: str


class Forget(msgspec.Struct, frozen=True):
    """The sandbox is gone: give back its address and run directory."""

    sandbox: str


class Finish(msgspec.Struct, frozen=True):
    """A deleted function has nothing left."""


Action = (
    Launch
    | NoteReady
    | Accept
    | Reject
    | Publish
    | Withdraw
    | Drain
    | Stop
    | Kill
    | Forget
    | Finish
)


class Step(msgspec.Struct, frozen=True):
    """What to do now, the state once it is begun, and when to look again without an event."""

    actions: tuple[Action, ...]
    observed: Observed
    wake_at_ns: int | None


_ROUTED = (Phase.READY, Phase.DRAINING)


def reconcile(desired: Desired, observed: Observed, now_ns: int, policy: Policy) -> Step:
    """One decision.

    Args:
        desired: what should be.
        observed: what is, with every event so far applied.
        now_ns: the present, on the clock of the times in `observed`.
        policy: durations and bounds.
    """
    turn = _Turn(desired, now_ns, policy, observed)
    turn.forget_exited()
    turn.end_what_hangs()
    turn.promote()
    turn.judge_candidate()
    turn.retire()
    turn.launch()
    turn.publish()
    if desired.deleted and not turn.replicas:
        turn.later.append(Finish())
    return turn.step()


class _Turn:
    """The working state of one decision; lives no longer than the call."""

    __slots__ = (
        "deadlines",
        "desired",
        "first",
        "later",
        "now_ns",
        "observed",
        "policy",
        "replicas",
    )

    def __init__(self, desired: Desired, now_ns: int, policy: Policy, observed: Observed) -> None:
        self.desired = desired
        self.now_ns = now_ns
        self.policy = policy
        self.observed = observed
        self.replicas: list[Replica] = list(observed.replicas)
        self.first: list[Action] = []
        self.later: list[Action] = []
        """Actions that may begin only after the routes went out."""
        self.deadlines: list[int] = []

    def forget_exited(self) -> None:
        gone = [one for one in self.replicas if one.phase is Phase.EXITED]
        if gone:
            self.later.extend(Forget(one.sandbox) for one in gone)
            self.replicas = [one for one in self.replicas if one.phase is not Phase.EXITED]

    def end_what_hangs(self) -> None:
        """Timeouts of every phase."""
        for replica in list(self.replicas):
            if replica.phase is Phase.LAUNCHING and not replica.answering:
                if self._late(replica.since_ns, self.policy.ready_timeout_ns):
                    timeout_s = self.policy.ready_timeout_ns / 1e9
                    text = f"no connection was accepted within {timeout_s:g} s"
                    self._fail(replica, Failure(text, late=True))
            elif replica.phase is Phase.STOPPING:
                if self._late(replica.since_ns, self.policy.stop_timeout_ns):
                    self.later.append(Kill(replica.sandbox))
                    self._become(replica, Phase.STOPPING)
            elif replica.phase is Phase.READY and replica.detached_since_ns is not None:
                if self._late(replica.detached_since_ns, self.policy.attach_timeout_ns):
                    self._fail(replica, Failure("the data plane cut the sandbox off"))

    def promote(self) -> None:
        for replica in list(self.replicas):
            if replica.phase is Phase.LAUNCHING and replica.answering:
                # After the routes: invocations wait for those, and nobody for a note.
                self.later.append(NoteReady(replica.sandbox))
                self._become(replica, Phase.READY)
                if replica.generation == self.desired.generation:
                    self.observed = replace(self.observed, error="")
        self._reset_failures()

    def _reset_failures(self) -> None:
        if not self.observed.failures:
            return
        for replica in self._of(self.desired.generation):
            if replica.phase is not Phase.READY:
                continue
            if self._late(replica.since_ns, self.policy.healthy_after_ns):
                self.observed = replace(self.observed, failures=0, retry_at_ns=0)
                return

    def judge_candidate(self) -> None:
        candidate = self.desired.candidate
        if candidate is None or self.desired.deleted:
            return
        if any(one.phase is Phase.READY for one in self._of(candidate)):
            self.first.append(Accept(candidate))
        elif self.observed.candidate_failure is not None:
            self.first.append(Reject(candidate, self.observed.candidate_failure))

    def retire(self) -> None:
        """Drains and stops what is not wanted, and stops what has drained."""
        for replica in self._surplus():
            if replica.phase is Phase.LAUNCHING or not self._routed(replica):
                self._stop(replica)
            else:
                self._become(replica, Phase.DRAINING)
                self.later.append(Drain(replica.sandbox))
        for replica in list(self.replicas):
            if replica.phase is Phase.DRAINING and (
                replica.drained or self._late(replica.since_ns, self.policy.drain_timeout_ns)
            ):
                self._stop(replica)

    def _surplus(self) -> list[Replica]:
        live = [one for one in self.replicas if one.phase in LIVE]
        if self.desired.deleted or not live:
            return live
        generation = self.desired.generation
        current = [one for one in live if one.generation == generation]
        # A stable order: those that serve stay before those that start.
        current.sort(key=_is_launching)
        surplus = current[self.desired.replicas :]
        old = [one for one in live if self._outdated(one)]
        if not old:
            return surplus
        ready_count = sum(one.phase is Phase.READY for one in current)
        old_wanted = max(0, self.desired.replicas - ready_count)
        old_ready = [one for one in old if one.phase is Phase.READY and self._routed(one)]
        # The newest of the old stay longest: they carry the youngest code.
        kept = old_ready[len(old_ready) - old_wanted :] if old_wanted else []
        return surplus + [one for one in old if one not in kept]

    def launch(self) -> None:
        if self.desired.deleted:
            return
        candidate = self.desired.candidate
        if candidate is not None and self.observed.candidate_failure is None:
            if not any(one.phase in LIVE for one in self._of(candidate)):
                self.later.append(Launch(candidate))
        if self.desired.generation:
            self._launch_missing()

    def _launch_missing(self) -> None:
        generation = self.desired.generation
        live = [one.phase for one in self._of(generation) if one.phase in LIVE]
        missing = self.desired.replicas - len(live)
        if missing <= 0:
            return
        if self.now_ns < self.observed.retry_at_ns:
            self.deadlines.append(self.observed.retry_at_ns)
            return
        # A function that fails gets one try at a time.
        launching = live.count(Phase.LAUNCHING)
        room = (1 if self.observed.failures else self.policy.launches_max) - launching
        self.later.extend(Launch(generation) for _ in range(min(missing, room)))

    def publish(self) -> None:
        if self.desired.deleted:
            if self.observed.published is not None:
                self.first.append(Withdraw())
                self.observed = replace(self.observed, published=None)
            return
        if not self.desired.generation:
            return
        routes = Routes(self.desired.generation, tuple(self._routes()))
        if routes != self.observed.published:
            self.first.append(Publish(routes))
            self.observed = replace(self.observed, published=routes)

    def _routes(self) -> Iterable[Route]:
        for replica in self.replicas:
            if replica.phase in _ROUTED and self._routed(replica):
                yield Route(replica.sandbox, draining=replica.phase is Phase.DRAINING)

    def step(self) -> Step:
        observed, replicas = self.observed, tuple(self.replicas)
        if replicas != observed.replicas:
            observed = replace(observed, replicas=replicas)
        wake_at_ns = min(self.deadlines) if self.deadlines else None
        return Step((*self.first, *self.later), observed, wake_at_ns)

    def _of(self, generation: int) -> list[Replica]:
        return [one for one in self.replicas if one.generation == generation]

    def _outdated(self, replica: Replica) -> bool:
        return replica.generation not in (self.desired.generation, self.desired.candidate)

    def _routed(self, replica: Replica) -> bool:
        """Whether its generation was ever accepted: generations only grow."""
        return replica.generation <= self.desired.generation

    def _late(self, since_ns: int, timeout_ns: int) -> bool:
        """Whether a timeout has passed; a later one is remembered as a time to look again."""
        deadline_ns = since_ns + timeout_ns
        if self.now_ns >= deadline_ns:
            return True
        self.deadlines.append(deadline_ns)
        return False

    def _become(self, replica: Replica, phase: Phase) -> None:
        index = next(i for i, one in enumerate(self.replicas) if one.sandbox == replica.sandbox)
        self.replicas[index] = replace(self.replicas[index], phase=phase, since_ns=self.now_ns)

    def _stop(self, replica: Replica) -> None:
        self._become(replica, Phase.STOPPING)
        self.later.append(Stop(replica.sandbox))
        self.deadlines.append(self.now_ns + self.policy.stop_timeout_ns)

    def _fail(self, replica: Replica, failure: Failure) -> None:
        self.observed = failed(
            self.observed, replica.generation, failure, self.desired, self.now_ns, self.policy
        )
        self._stop(replica)


def _is_launching(replica: Replica) -> bool:
    return replica.phase is Phase.LAUNCHING
