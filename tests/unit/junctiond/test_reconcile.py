"""Goal: the lifecycle keeps its promises under any order of faults. Method: rules by hand, then a stateful machine.

The machine plays the executor under simulated time: it performs every action, lets sandboxes answer, crash, hang and
be cut off at will, scales, updates and deletes, and checks the invariants after every step.
"""

import pytest
from hypothesis import Phase as Phases
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from junctiond.lifecycle import events
from junctiond.lifecycle.reconcile import (
    Accept,
    Drain,
    Finish,
    Forget,
    Kill,
    Launch,
    NoteReady,
    Publish,
    Reject,
    Step,
    Stop,
    Withdraw,
    reconcile,
)
from junctiond.lifecycle.state import (
    Desired,
    Failure,
    Observed,
    Phase,
    Policy,
    Replica,
    Route,
    Routes,
    backoff_ns,
)

POLICY = Policy(
    ready_timeout_ns=60_000_000_000,
    drain_timeout_ns=60_000_000_000,
    stop_timeout_ns=35_000_000_000,
    attach_timeout_ns=10_000_000_000,
    backoff_max_ns=30_000_000_000,
    healthy_after_ns=30_000_000_000,
)
SECOND = 1_000_000_000


def ready(name: str, generation: int = 1, since_ns: int = 0) -> Replica:
    return Replica(name, generation, Phase.READY, since_ns, answering=True)


def launching(name: str, generation: int = 1, since_ns: int = 0) -> Replica:
    return Replica(name, generation, Phase.LAUNCHING, since_ns)


def actions(desired: Desired, observed: Observed, now_ns: int = SECOND):
    return list(reconcile(desired, observed, now_ns, POLICY).actions)


def test_nothing_to_do_is_nothing_done():
    observed = Observed((ready("a"),), Routes(1, (Route("a"),)))
    assert actions(Desired(1, 1), observed) == []


def test_missing_replicas_are_launched_a_few_at_a_time():
    observed = Observed(published=Routes(1))
    assert actions(Desired(9, 1), observed) == [Launch(1)] * POLICY.launches_max


def test_a_function_that_fails_is_tried_once_after_its_pause():
    observed = Observed(published=Routes(1), failures=3, retry_at_ns=5 * SECOND)
    step = reconcile(Desired(9, 1), observed, SECOND, POLICY)
    assert (step.actions, step.wake_at_ns) == ((), 5 * SECOND)
    assert actions(Desired(9, 1), observed, 5 * SECOND) == [Launch(1)]


def test_what_answers_is_routed_to():
    observed = Observed((replace(launching("a"), answering=True),), Routes(1))
    assert actions(Desired(1, 1), observed) == [Publish(Routes(1, (Route("a"),))), NoteReady("a")]


def test_a_candidate_is_not_routed_to_before_it_is_accepted():
    old, new = ready("a", 1), replace(launching("b", 2), answering=True)
    observed = Observed((old, new), Routes(1, (Route("a"),)))
    assert actions(Desired(1, 1, candidate=2), observed) == [Accept(2), NoteReady("b")]
    swapped = Observed((old, replace(new, phase=Phase.READY)), Routes(1, (Route("a"),)))
    assert actions(Desired(1, 2), swapped) == [
        Publish(Routes(2, (Route("a", draining=True), Route("b")))),
        Drain("a"),
    ]


def test_a_failed_candidate_is_rejected_and_only_it_is_stopped():
    observed = Observed(
        (ready("a", 1), launching("b", 2)),
        Routes(1, (Route("a"),)),
        candidate_failure=Failure("no"),
    )
    assert actions(Desired(1, 1, candidate=2), observed) == [Reject(2, Failure("no"))]
    assert actions(Desired(1, 1), replace(observed, candidate_failure=None)) == [Stop("b")]


def test_a_launch_that_hangs_is_stopped_and_counts():
    observed = Observed((launching("a"),), Routes(1))
    step = reconcile(Desired(1, 1), observed, POLICY.ready_timeout_ns, POLICY)
    assert step.actions == (Stop("a"),)
    assert (step.observed.failures, bool(step.observed.error)) == (1, True)


def test_a_stop_that_hangs_is_a_kill():
    observed = Observed((Replica("a", 1, Phase.STOPPING, 0),), Routes(1))
    step = reconcile(Desired(0, 1), observed, POLICY.stop_timeout_ns, POLICY)
    assert step.actions == (Kill("a"),)


def test_a_cut_off_sandbox_is_replaced():
    observed = Observed((replace(ready("a"), detached_since_ns=0),), Routes(1, (Route("a"),)))
    step = reconcile(Desired(1, 1), observed, POLICY.attach_timeout_ns, POLICY)
    assert step.actions == (Publish(Routes(1)), Stop("a"))


def test_scaling_down_drains_the_newest():
    observed = Observed(
        (ready("a"), ready("b"), launching("c")), Routes(1, (Route("a"), Route("b")))
    )
    assert actions(Desired(1, 1), observed) == [
        Publish(Routes(1, (Route("a"), Route("b", draining=True)))),
        Drain("b"),
        Stop("c"),
    ]


def test_deletion_withdraws_drains_and_finishes():
    observed = Observed((ready("a"), launching("b")), Routes(1, (Route("a"),)))
    desired = Desired(1, 1, deleted=True)
    step = reconcile(desired, observed, 0, POLICY)
    assert step.actions == (Withdraw(), Drain("a"), Stop("b"))
    gone = replace(step.observed, replicas=(Replica("a", 1, Phase.EXITED, 0),))
    assert actions(desired, gone) == [Forget("a"), Finish()]


def test_simultaneous_ends_count_once():
    observed = Observed((ready("a"), ready("b")))
    for name in "ab":
        observed = events.apply(observed, events.Exited(name, "x"), Desired(2, 1), 0, POLICY)
    assert observed.failures == 1


@pytest.mark.parametrize("failures", [0, 1, 2, 10, 1000])
def test_backoff_grows_and_is_bounded(failures: int):
    assert 0 <= backoff_ns(failures, POLICY) <= backoff_ns(failures + 1, POLICY)
    assert backoff_ns(failures, POLICY) <= POLICY.backoff_max_ns


class Lifecycle(RuleBasedStateMachine):
    """The executor, under simulated time."""

    decide = staticmethod(reconcile)

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = SECOND
        self.desired = Desired(1, 0, candidate=1)
        self.observed = Observed()
        self.made = 0
        self.generations = 1
        self.world: dict[str, str] = {}
        """Sandboxes that exist: "running", "stopping", or "gone" (not yet forgotten)."""
        self.finished = False
        self.draining: set[str] = set()
        self.routes: tuple[Route, ...] = ()
        """What the data plane was really told."""

    @initialize()
    def begin(self) -> None:
        self.turn()

    def post(self, event: events.Event) -> None:
        self.observed = events.apply(self.observed, event, self.desired, self.now_ns, POLICY)

    def turn(self) -> None:
        for _ in range(50):
            step = self.decide(self.desired, self.observed, self.now_ns, POLICY)
            self.observed = step.observed
            for action in step.actions:
                self.perform(action)
            if not step.actions or self.finished:
                return
        raise AssertionError("the decision does not settle")

    def perform(self, action) -> None:
        match action:
            case Launch(generation):
                self.made += 1
                name = f"s{self.made}"
                self.world[name] = "running"
                self.post(events.Launched(name, generation))
            case Publish(routes):
                self.routes = routes.replicas
            case Withdraw():
                self.routes = ()
            case Accept():
                self.desired, self.observed = events.accepted(self.desired, self.observed)
            case Reject():
                self.desired, self.observed = events.rejected(self.desired, self.observed)
            case Drain(sandbox):
                assert Route(sandbox) not in self.routes, "drained while new invocations go to it"
                self.draining.add(sandbox)
            case Stop(sandbox):
                if self.world[sandbox] == "running":
                    self.world[sandbox] = "stopping"
            case Kill(sandbox):
                if self.world[sandbox] != "gone":
                    self.end(sandbox)
            case Forget(sandbox):
                assert self.world[sandbox] == "gone", "forgot a sandbox that lives"
                del self.world[sandbox]
                self.draining.discard(sandbox)
            case Finish():
                assert not self.world, "finished with sandboxes left"
                self.finished = True

    def end(self, sandbox: str) -> None:
        self.world[sandbox] = "gone"
        self.post(events.Exited(sandbox, "it ended"))

    def living(self) -> list[str]:
        return sorted(name for name, state in self.world.items() if state != "gone")

    @rule(seconds=st.sampled_from([0.001, 0.1, 1, 20, 70]))
    def time_passes(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)
        self.turn()

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def answers(self, data) -> None:
        self.post(events.Answering(data.draw(st.sampled_from(self.living()))))
        before = self.routed()
        self.turn()
        assert self.routed() >= min(before, self.desired.replicas)

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def crashes(self, data) -> None:
        self.end(data.draw(st.sampled_from(self.living())))
        self.turn()

    @precondition(lambda self: self.living())
    @rule(data=st.data(), there=st.booleans())
    def attachment_changes(self, data, there: bool) -> None:
        name = data.draw(st.sampled_from(self.living()))
        self.post(events.Attached(name) if there else events.Detached(name))
        self.turn()

    @precondition(lambda self: self.draining)
    @rule(data=st.data())
    def drains(self, data) -> None:
        self.post(events.Drained(data.draw(st.sampled_from(sorted(self.draining)))))
        self.turn()

    @precondition(lambda self: not self.desired.deleted and self.desired.generation)
    @rule(replicas=st.sampled_from([0, 1, 2, 3, 5]))
    def scales(self, replicas: int) -> None:
        self.desired = replace(self.desired, replicas=replicas)
        self.turn()

    @precondition(lambda self: not self.desired.deleted and self.desired.candidate is None)
    @rule()
    def updates(self) -> None:
        self.generations += 1
        before = self.routed()
        self.desired = replace(self.desired, candidate=self.generations)
        self.turn()
        assert self.routed() >= min(before, self.desired.replicas)

    @rule(updating=st.booleans())
    def all_answer(self, updating: bool) -> None:
        """Steady state, and from there an update: no step of it may cost a serving replica (rule 1)."""
        if self.desired.deleted:
            return
        for one in self.observed.replicas:
            self.post(events.Answering(one.sandbox))
        before = self.routed()
        self.turn()
        assert self.routed() >= min(before, self.desired.replicas)
        if updating and self.desired.candidate is None and self.desired.generation:
            self.updates()

    @precondition(lambda self: not self.desired.deleted)
    @rule()
    def refused(self) -> None:
        number = self.desired.candidate or self.desired.generation
        self.post(events.Refused(number, "no address"))
        self.turn()

    @precondition(lambda self: self.desired.generation and self.made > 12)
    @rule()
    def deletes(self) -> None:
        self.desired = replace(self.desired, deleted=True, candidate=None)
        self.turn()

    def routed(self) -> int:
        published = self.observed.published
        assert self.routes == (published.replicas if published else ())
        return sum(not one.draining for one in self.routes)

    @invariant()
    def every_sandbox_is_known(self) -> None:
        known = {one.sandbox for one in self.observed.replicas}
        assert set(self.world) == known, "a sandbox leaked or was forgotten early"

    @invariant()
    def routes_lead_to_ready_replicas_of_accepted_generations(self) -> None:
        if self.observed.published is None:
            return
        phases = {one.sandbox: one for one in self.observed.replicas}
        for route in self.observed.published.replicas:
            assert phases[route.sandbox].generation <= self.desired.generation
            wanted = Phase.DRAINING if route.draining else Phase.READY
            assert phases[route.sandbox].phase is wanted

    @invariant()
    def never_more_than_wanted_and_its_forerunners(self) -> None:
        current = [
            one
            for one in self.observed.replicas
            if one.generation == self.desired.generation
            and one.phase in (Phase.LAUNCHING, Phase.READY)
        ]
        assert self.desired.deleted or len(current) <= self.desired.replicas

    def teardown(self) -> None:
        """Once faults stop it converges: everything wanted serves, or everything is gone."""
        for _ in range(60):
            if self.finished:
                break
            self.now_ns += 10 * SECOND
            for one in self.observed.replicas:
                if one.phase is Phase.LAUNCHING:
                    self.post(events.Answering(one.sandbox))
                if one.detached_since_ns is not None:
                    self.post(events.Attached(one.sandbox))
            for name in list(self.draining):
                self.post(events.Drained(name))
            for name in [name for name, state in self.world.items() if state == "stopping"]:
                self.end(name)
            self.turn()
        if self.desired.deleted:
            assert self.finished
            assert not self.world
        else:
            assert self.routed() == self.desired.replicas
            assert len(self.world) == self.desired.replicas


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def drain_first(desired: Desired, observed: Observed, now_ns: int, policy: Policy) -> Step:
    """A broken decision: replicas drain while the routes still lead to them."""
    step = reconcile(desired, observed, now_ns, policy)
    drains = [one for one in step.actions if isinstance(one, Drain)]
    return replace(step, actions=(*drains, *(one for one in step.actions if one not in drains)))


class Canary(Lifecycle):
    decide = staticmethod(drain_first)


def test_the_machine_catches_a_broken_decision():
    quick = settings(TestLifecycle.settings, phases=[Phases.generate], database=None)
    with pytest.raises(AssertionError, match="drained while"):
        run_state_machine_as_test(Canary, settings=quick)
