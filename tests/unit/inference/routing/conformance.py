"""What every routing policy must hold, as functions over the protocol: run a policy through a history, or fail with why.

A history is a list of steps. The harness plays the driver: a central queue in order of arrival, replicas that come, go and
fail, and completions. It raises `Violation` at the first broken promise.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import strategies as st

from inference.domain.action import Refuse, Route
from inference.domain.replica import Role
from inference.domain.request import Request
from inference.policies.protocols import RoutingPolicy
from tests.unit.inference.routing.toy import ToyCluster, ToyReplica

TOKENS_MAX = 4000
PATIENCE_NS = 60 * 10**9

Answer = Route | Refuse | None


class Violation(AssertionError):
    """A policy broke a promise."""


@dataclass(frozen=True)
class Step:
    """One thing that happens. `number` picks among those it may happen to, round and round."""

    what: Literal["arrive", "prefilled", "complete", "lose", "return", "drain", "add", "wait"]
    number: int = 0
    prompt: int = 1
    output: int = 1
    model: int = 0


@dataclass
class Driver:
    """Plays a policy against a toy cluster."""

    policy: RoutingPolicy
    cluster: ToyCluster
    now_ns: int = 0
    held: deque[Request] = field(default_factory=deque)
    running: list[int] = field(default_factory=list)
    decisions: list[tuple[int, Answer]] = field(default_factory=list)
    requests: dict[int, Request] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.changed()

    def step(self, step: Step) -> None:
        self.now_ns += 1_000_000
        getattr(self, f"_{step.what}")(step)
        self.offer()

    def changed(self) -> None:
        self._unmutated(lambda: self.policy.changed(self.cluster, self.now_ns))

    def offer(self) -> None:
        """Offer the head of the queue until it is held."""
        while self.held:
            if not self._dispatch(self.held[0]):
                return
            self.held.popleft()

    def finish(self) -> None:
        """Complete everything, let time pass, and see that nobody is forgotten."""
        self.now_ns += PATIENCE_NS
        self.offer()
        while self.running:
            while self.running:
                self._complete(Step("complete"))
            self.now_ns += PATIENCE_NS
            self.offer()
        # A head that nobody can serve blocks those behind it: that is the driver's rule, not the policy's fault.
        if self.held and self._can_serve(self.held[0]):
            raise Violation(f"holds {self.held[0]} for ever at an empty cluster")
        waiting = {one.request_id for one in self.held}
        if lost := set(self.requests) - self.settled - waiting:
            raise Violation(f"requests {sorted(lost)} were neither completed nor refused")

    # --- steps ----------------------------------------------------------------------------------

    def _arrive(self, step: Step) -> None:
        one = Request(len(self.requests), self.now_ns, step.prompt, step.output, step.model)
        self.requests[one.request_id] = one
        self.held.append(one)

    def _prefilled(self, step: Step) -> None:
        if self.running:
            self.cluster.prefilled(self.running[step.number % len(self.running)])

    def _complete(self, step: Step) -> None:
        if self.running:
            done = self.running.pop(step.number % len(self.running))
            self.settled.add(done)
            self._idle(self.cluster.complete(done))

    def _lose(self, step: Step) -> None:
        index = step.number % len(self.cluster.replicas)
        lost = self.cluster.lose(index)
        for one in lost:
            self.running.remove(one.request_id)
        self.held.extendleft(reversed(lost))
        self.changed()

    def _return(self, step: Step) -> None:
        self.cluster.replicas[step.number % len(self.cluster.replicas)].accepting = True
        self.changed()

    def _drain(self, step: Step) -> None:
        self.cluster.replicas[step.number % len(self.cluster.replicas)].accepting = False
        self.changed()

    def _add(self, step: Step) -> None:
        role = Role(step.number % 3)
        self.cluster.replicas.append(ToyReplica(TOKENS_MAX, role, step.model))
        self.changed()

    def _wait(self, step: Step) -> None:
        self.now_ns += step.number * 10**8

    # --- checks ---------------------------------------------------------------------------------

    def _dispatch(self, one: Request) -> bool:
        if self.policy.retry_ns < 0:
            raise Violation(f"retry_ns is {self.policy.retry_ns}")
        answer = self._unmutated(lambda: self.policy.route(one, self.cluster, self.now_ns))
        self.decisions.append((one.request_id, answer))
        if answer is None:
            return False
        if isinstance(answer, Refuse):
            self._check_refusal(one, answer)
            self.settled.add(one.request_id)
            return True
        if not isinstance(answer, Route):
            raise Violation(f"answered {answer!r} for {one}")
        self._check_route(one, answer)
        self.cluster.place(one, answer)
        self.running.append(one.request_id)
        return True

    def _check_route(self, one: Request, route: Route) -> None:
        for index in route:
            if not 0 <= index < len(self.cluster.replicas):
                raise Violation(f"chose replica {index}, of which there is none")
            replica = self.cluster.replicas[index]
            if not replica.accepting:
                raise Violation(f"chose replica {index}, which takes no requests")
            if replica.model != one.model:
                raise Violation(f"sent a request of model {one.model} to model {replica.model}")
        if one.prompt_tokens + one.output_tokens > self._largest(one.model):
            raise Violation(f"routed {one}, which no replica can ever hold")

    def _check_refusal(self, one: Request, refusal: Refuse) -> None:
        if not refusal.reason:
            raise Violation("refused without a reason")
        if one.prompt_tokens + one.output_tokens <= self._largest(one.model):
            raise Violation(f"refused {one}, which fits: {refusal.reason}")

    def _largest(self, model: int) -> int:
        fits = [o.tokens_max for o in self.cluster.replicas if o.accepting and o.model == model]
        return max(fits, default=TOKENS_MAX)

    def _can_serve(self, one: Request) -> bool:
        """Whether replicas for both phases of the request's model accept."""
        roles = [o.role for o in self.cluster.replicas if o.accepting and o.model == one.model]
        prefill = any(role != Role.DECODE for role in roles)
        return prefill and any(role != Role.PREFILL for role in roles)

    def _idle(self, idle: list[int]) -> None:
        for index in idle:
            self._unmutated(lambda at=index: self.policy.idle(at, self.cluster, self.now_ns))

    def _unmutated(self, call):
        before = self._state()
        try:
            answer = call()
        except (TypeError, AttributeError) as error:  # what writing into a tuple raises
            raise Violation(f"wrote into the view, or broke on it: {error}") from error
        if self._state() != before:
            raise Violation("changed the cluster behind the view")
        return answer

    def _state(self) -> tuple[object, ...]:
        return tuple(
            (one.accepting, one.role, one.model, one.pending, one.committed, frozenset(one.ids))
            for one in self.cluster.replicas
        )


def fleet(counts: tuple[int, ...] = (2, 2, 2)) -> list[ToyReplica]:
    """Model 0 on replicas of all three roles, model 1 on two mixed ones."""
    replicas = [
        ToyReplica(TOKENS_MAX, role) for role, n in zip(Role, counts, strict=True) for _ in range(n)
    ]
    return [*replicas, ToyReplica(TOKENS_MAX, model=1), ToyReplica(TOKENS_MAX, model=1)]


def play(policy: RoutingPolicy, replicas: list[ToyReplica], steps: list[Step]) -> Driver:
    """Run a history to its end; every request must be settled that can be."""
    driver = Driver(policy, ToyCluster(replicas))
    for step in steps:
        driver.step(step)
    driver.finish()
    return driver


def starvation(policy: RoutingPolicy, replicas: int = 4) -> set[int]:
    """Replicas that get nothing although requests of all sizes fill most of the cluster's memory, none completing."""
    driver = Driver(policy, ToyCluster([ToyReplica(TOKENS_MAX) for _ in range(replicas)]))
    for number in range(replicas * 12):
        heavy = number % 2
        driver.step(Step("arrive", prompt=200 - 150 * heavy, output=20 + 330 * heavy))
        driver.now_ns += 10**8
    return {index for index, one in enumerate(driver.cluster.replicas) if not one.ids}


NUMBERS = st.integers(0, 50)
ARRIVALS = st.builds(
    Step,
    st.just("arrive"),
    prompt=st.one_of(st.integers(1, 600), st.integers(1, 2 * TOKENS_MAX)),
    output=st.integers(1, 600),
    model=st.integers(0, 1),
)
PROGRESS = st.builds(Step, st.sampled_from(["prefilled", "complete"]), NUMBERS)
CHANGES = st.builds(
    Step,
    st.sampled_from(["lose", "return", "drain", "add", "wait"]),
    NUMBERS,
    model=st.integers(0, 1),
)
STEPS = st.one_of(ARRIVALS, ARRIVALS, PROGRESS, CHANGES)
HISTORIES = st.one_of(st.lists(STEPS, max_size=10), st.lists(STEPS, min_size=25, max_size=70))
