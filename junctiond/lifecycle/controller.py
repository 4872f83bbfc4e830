"""One function alive: feeds events to the pure core and performs the actions it returns.

Read first: `reconcile.py`. Everything here runs on the event loop. State changes only in `post` and `_turn`; what
takes time runs in tasks that end by posting an event.
"""

import asyncio
import functools
import logging
import math
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from junctiond.dataplane import protocol
from junctiond.dataplane.base import Dataplane, DataplaneError, DataplaneLost
from junctiond.errors import HostError, Reason
from junctiond.lifecycle import events, reconcile
from junctiond.lifecycle.callers import Trial, Waiters
from junctiond.lifecycle.events import (
    Answering,
    Attached,
    Detached,
    Drained,
    Event,
    Exited,
    Launched,
    Refused,
)
from junctiond.lifecycle.generation import Generation
from junctiond.lifecycle.readiness import Readiness
from junctiond.lifecycle.state import LIVE, Desired, Failure, Observed, Phase, Policy, Routes
from junctiond.lifecycle.workshop import Workshop
from junctiond.sandbox.base import Exit
from junctiond.sandbox.plan import PORT_ANNOTATION
from junctiond.store import FunctionRow, Store

logger = logging.getLogger(__name__)

RETRY_NS = 1_000_000_000
"""Pause after an action that could not be performed."""

Ending = Callable[[], Awaitable[Exit]]
"""Starts or adopts a sandbox and waits for its end."""

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class Surroundings:
    """What every controller shares."""

    workshop: Workshop
    dataplane: Dataplane
    store: Store
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    changed: Callable[["FunctionController"], None]
    finished: Callable[["FunctionController"], None]
    now_ns: Callable[[], int] = time.monotonic_ns


class FunctionController:
    """The life of one function, from its creation to its last sandbox."""

    def __init__(
        self,
        key: Key,
        around: Surroundings,
        policy: Policy,
        *,
        current: Generation | None = None,
        replicas: int = 1,
        created_at_ns: int | None = None,
        observed: Observed = Observed(),  # noqa: B008 - frozen
    ) -> None:
        self.key = key
        self.created_at_ns = created_at_ns if created_at_ns is not None else time.time_ns()
        self.current = current
        self.desired = Desired(replicas, current.number if current else 0)
        self.observed = observed
        self.restarts = 0
        self.deleted = False
        """Retired for good, and not only because the daemon stops."""
        self.sandboxes = {one.sandbox for one in observed.replicas}
        """Every sandbox it ever had, for their logs."""
        self._around = around
        self.policy = policy
        self._trial: Trial | None = None
        self._launching: dict[int, str] = {}
        """The newest sandbox of each generation, for its log lines."""
        self._waiters = Waiters()
        self._poked = asyncio.Event()
        self._readiness = Readiness(around.dataplane, self._spawn)
        self._finished = False

    # What callers ask.

    async def try_generation(self, generation: Generation, replicas: int) -> None:
        """Puts a new generation on trial and waits until it is accepted and routed to.

        Raises:
            HostError: it was rejected; everything it had is being removed.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._trial = Trial(generation, replicas, done)
        self.desired = replace(self.desired, candidate=generation.number)
        self._poked.set()
        try:
            await done
        except asyncio.CancelledError:
            # The caller has gone: nobody knows of this generation, so it must not come to life.
            if self.desired.candidate == generation.number:
                self._give_up(Failure("the caller went away"))
            raise

    async def scale(self, replicas: int) -> None:
        """Sets the wanted replicas; with at least one, waits until one is available.

        Raises:
            HostError: the function failed meanwhile; the wanted number stays.
        """
        self._around.store.set_replicas(*self.key, replicas)
        self._around.store.commit()  # the caller's answer rests on it
        self.desired = replace(self.desired, replicas=replicas)
        self._poked.set()
        if replicas == 0:
            await self._until(lambda: not self._routed_count())
        else:
            await self._until(lambda: self.available > 0)

    def wake(self) -> None:
        """An invocation waits: a function scaled to zero gets its first replica."""
        if self.desired.replicas == 0 and self.current is not None and not self.desired.deleted:
            logger.info("function wanted", extra={"fields": self._names()})
            self._around.store.set_replicas(*self.key, 1)
            self.desired = replace(self.desired, replicas=1)
            self._poked.set()

    def retire(self) -> None:
        """Ends the function: its route at once, its sandboxes after they drained."""
        self.desired = replace(self.desired, deleted=True)
        if self._trial is not None:
            self._give_up(Failure("the function was deleted"))
        self._waiters.refuse(HostError(Reason.FUNCTION_UNKNOWN, "the function was deleted"))
        self._poked.set()

    async def withdrawn(self) -> None:
        """Waits until a retired function has no route any more."""
        await self._until(lambda: self.observed.published is None, fallible=False)

    # What observers say.

    def post(self, event: Event) -> None:
        """Takes an event in."""
        now_ns = self._around.now_ns()
        before = self.observed
        self.observed = events.apply(before, event, self.desired, now_ns, self.policy)
        if self.observed != before:
            self._poked.set()

    def listening(self, sandbox: str, port: int) -> None:
        """A guest of this function listens on a port."""
        lease = self._around.workshop.lease(sandbox)
        if lease is not None and lease.port == port:
            self._readiness.hear(sandbox)

    def counts_on(self, sandbox: str) -> bool:
        """Whether a sandbox is one that serves, or is to serve."""
        replica = events.find(self.observed, sandbox)
        return replica is not None and replica.phase in LIVE

    def attached(self, sandboxes: set[str]) -> None:
        """A new connection to the data plane: which sandboxes it has, and so which it lacks."""
        for replica in self.observed.replicas:
            there = replica.sandbox in sandboxes
            self.post(Attached(replica.sandbox) if there else Detached(replica.sandbox))

    def dataplane_lost(self) -> None:
        """Nothing can be attached to a data plane that is not there: no sandbox is to blame."""
        for replica in self.observed.replicas:
            self.post(Attached(replica.sandbox))

    # What readers see.

    @property
    def available(self) -> int:
        """Replicas that accept connections and have a route."""
        return sum(
            1
            for one in self.observed.replicas
            if one.phase is Phase.READY and one.generation <= self.desired.generation
        )

    @property
    def done(self) -> bool:
        """Whether nothing is left of the function."""
        return self._finished

    @property
    def image_on_trial(self) -> str | None:
        """Digest of the candidate's image."""
        return self._trial.generation.image.digest if self._trial else None

    @property
    def error(self) -> str:
        """Why the newest replica is not available; empty where one is."""
        return "" if self.available else self.observed.error

    # The loop.

    async def run(self) -> None:
        """Lives until the function is finished."""
        try:
            for replica in self.observed.replicas:
                self._adopt(replica.sandbox, replica.phase is Phase.LAUNCHING)
            while not self._finished:
                self._poked.clear()
                await self._sleep(await self._turn())
        finally:
            self._readiness.close()
        self._around.finished(self)

    async def _sleep(self, wake_at_ns: int | None) -> None:
        if self._finished:
            return
        if wake_at_ns is None:
            await self._poked.wait()
            return
        pause_s = max(0.0, (wake_at_ns - self._around.now_ns()) / 1e9)
        # Not a timeout of asyncio's, which costs a launch more than the rest of its waiting.
        alarm = asyncio.get_running_loop().call_later(pause_s, self._poked.set)
        try:
            await self._poked.wait()
        finally:
            alarm.cancel()

    async def _turn(self) -> int | None:
        """Decides and performs until nothing more is to be done now; when to look again."""
        while True:
            before = (self.desired, self.observed)
            step = reconcile.reconcile(
                self.desired, self.observed, self._around.now_ns(), self.policy
            )
            self.observed = step.observed
            failed = False
            for action in step.actions:
                try:
                    await self._perform(action)
                except (OSError, sqlite3.Error, DataplaneError, protocol.ProtocolError) as error:
                    failed = True
                    self._take_back(action, error)
            self._settle()
            if before != (self.desired, self.observed):
                self._around.changed(self)
            if failed:
                return self._around.now_ns() + RETRY_NS
            if not step.actions or self._finished:
                return step.wake_at_ns

    def _take_back(self, action: reconcile.Action, error: Exception) -> None:
        """An action could not be performed (a full disk, a refusal of jnetd): what it assumed is not so."""
        fields = {**self._names(), "action": type(action).__name__}
        logger.error("action failed", exc_info=error, extra={"fields": fields})
        match action:
            case reconcile.Launch(generation):
                self.post(Refused(generation, f"the launch failed inside junctiond: {error}"))
            case reconcile.Publish(_):
                self.observed = replace(self.observed, published=None)
            case reconcile.Withdraw():
                self.observed = replace(self.observed, published=Routes(0))

    async def _perform(self, action: reconcile.Action) -> None:
        workshop = self._around.workshop
        match action:
            case reconcile.Launch(generation):
                self._launch(generation)
            case reconcile.NoteReady(sandbox):
                workshop.note_ready(sandbox)
            case reconcile.Accept(generation):
                self._accept(generation)
            case reconcile.Reject(_, failure):
                self._give_up(failure)
            case reconcile.Publish(routes):
                await self._publish(routes)
            case reconcile.Withdraw():
                await self._around.dataplane.delete_function(*self.key)
            case reconcile.Drain(sandbox):
                self._spawn(self._drain, sandbox)
            case reconcile.Stop(sandbox):
                workshop.stop(sandbox)
            case reconcile.Kill(sandbox):
                workshop.kill(sandbox)
            case reconcile.Forget(sandbox):
                self._spawn(workshop.forget, sandbox)
            case reconcile.Finish():
                self._finished = True

    def _launch(self, number: int) -> None:
        generation = self._generation(number)
        try:
            if generation is None:
                raise HostError(Reason.INTERNAL, f"generation {number} is unknown")
            lease = self._around.workshop.begin(generation)
        except HostError as error:
            self.post(Refused(number, error.message))
            return
        self._launching[number] = lease.sandbox
        self.sandboxes.add(lease.sandbox)
        self._expect(lease.sandbox)
        self.post(Launched(lease.sandbox, number))
        logger.info("sandbox launched", extra={"fields": {"sandbox": lease.sandbox}})
        workshop = self._around.workshop
        ending = functools.partial(workshop.launch, lease, generation)
        self._spawn(self._live, lease.sandbox, ending)

    def _adopt(self, sandbox: str, ask: bool) -> None:
        """A sandbox of an earlier daemon; `ask`: it is not known to answer yet."""
        if ask:
            self._expect(sandbox)
        ending = functools.partial(self._around.workshop.wait, sandbox)
        self._spawn(self._live, sandbox, ending)

    def _expect(self, sandbox: str) -> None:
        """Posts `Answering` once the sandbox accepts connections, and answers its ready path where it has one."""
        lease = self._around.workshop.lease(sandbox)
        if lease is None:
            return
        generation = self._generation(lease.generation)
        path = generation.plan.ready_path if generation else None
        answered = functools.partial(self.post, Answering(sandbox))
        self._readiness.expect(sandbox, lease.port, path, answered)

    async def _live(self, sandbox: str, ending: Ending) -> None:
        """One sandbox from its launch to its end."""
        exit_ = await self._ended(ending)
        self._readiness.forget(sandbox)
        replica = events.find(self.observed, sandbox)
        expected = replica is None or replica.phase not in LIVE
        text = exit_.message if expected else exit_.message + self._last_lines(sandbox)
        fields = {"sandbox": sandbox, "expected": expected, "how": exit_.message}
        logger.info("sandbox ended", extra={"fields": fields})
        if not expected:
            self.restarts += 1
        self.post(Exited(sandbox, text))

    async def _ended(self, ending: Ending) -> Exit:
        try:
            return await ending()
        except (
            Exception
        ) as error:  # whatever it was, the replica must not stay "launching" for ever
            logger.error("launch failed", exc_info=error, extra={"fields": self._names()})
            return Exit(f"the launch failed inside junctiond ({type(error).__name__})", failed=True)

    async def _drain(self, sandbox: str) -> None:
        timeout_ms = self.policy.drain_timeout_ns // 1_000_000
        try:
            in_flight = await self._around.dataplane.drain(sandbox, timeout_ms)
        except (DataplaneError, DataplaneLost) as error:
            # Without a data plane nothing is in flight any more.
            logger.info("drain cut short", extra={"fields": {"error": str(error)}})
            in_flight = 0
        if in_flight:
            fields = {"sandbox": sandbox, "in_flight": in_flight}
            logger.warning("drain timed out", extra={"fields": fields})
        self.post(Drained(sandbox))

    async def _publish(self, routes: Routes) -> None:
        generation = self._generation(routes.generation)
        replicas = []
        for route in routes.replicas:
            lease = self._around.workshop.lease(route.sandbox)
            if lease is not None:
                replicas.append(protocol.Replica(route.sandbox, lease.port, route.draining))
        settings = generation.plan.settings if generation else protocol.FunctionSettings()
        namespace, name = self.key
        await self._around.dataplane.put_function(
            protocol.Function(name, namespace, settings, tuple(replicas))
        )

    # Trials.

    def _accept(self, number: int) -> None:
        trial = self._trial
        if trial is None or trial.generation.number != number:
            return
        generation = trial.generation
        row = FunctionRow(
            deployment=generation.deployment,
            generation=number,
            replicas=max(trial.replicas, self.desired.replicas),
            created_at_ns=self.created_at_ns,
            image=generation.image,
            watchdog=generation.watchdog.value,
        )
        try:
            self._around.store.put_function(row)
        except Exception as error:  # a full disk must not end in a function that a reboot forgets
            logger.error("function not stored", exc_info=error, extra={"fields": self._names()})
            self._give_up(Failure("the function could not be stored; is the disk full?"))
            return
        self.current = generation
        self.desired, self.observed = events.accepted(self.desired, self.observed)
        self.desired = replace(self.desired, replicas=row.replicas)
        trial.accepted = True

    def _give_up(self, failure: Failure) -> None:
        trial, self._trial = self._trial, None
        self.desired, self.observed = events.rejected(self.desired, self.observed)
        self._poked.set()
        if trial is None:
            return
        sandbox = self._launching.get(trial.generation.number, "")
        if failure.late:
            port = trial.generation.plan.port
            text = (
                f"{self.key[1]} did not become ready: {failure.text} on port {port} "
                f"(annotation {PORT_ANNOTATION} names another){self._last_lines(sandbox)}"
            )
            trial.refuse(HostError(Reason.NOT_READY, text))
        else:
            text = f"{self.key[1]} could not be started: {failure.text}"
            trial.refuse(HostError(Reason.LAUNCH_FAILED, text))

    def _settle(self) -> None:
        """Answers the callers whose wish is fulfilled now."""
        trial = self._trial
        published = self.observed.published
        if trial and trial.accepted and published and published.replicas:
            self._trial = None
            trial.fulfil()
        stuck = None
        if not self.available:
            stuck = HostError(Reason.LAUNCH_FAILED, self.observed.error)
        self._waiters.settle(self.observed.failures, stuck)

    async def _until(self, satisfied: Callable[[], bool], *, fallible: bool = True) -> None:
        failures_max = self.observed.failures if fallible else math.inf
        await self._waiters.until(satisfied, failures_max, self._poked.set)

    # Small things.

    def _generation(self, number: int) -> Generation | None:
        candidates = (self.current, self._trial.generation if self._trial else None)
        return next((one for one in candidates if one and one.number == number), None)

    def _routed_count(self) -> int:
        published = self.observed.published
        return sum(not one.draining for one in published.replicas) if published else 0

    def _last_lines(self, sandbox: str) -> str:
        return self._around.workshop.last_lines(sandbox) if sandbox else ""

    def _names(self) -> dict[str, object]:
        return {"name": self.key[1], "namespace": self.key[0]}

    def _spawn(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        self._around.spawn(self._guard(work, *arguments))

    async def _guard(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """A fault in one sandbox's task must not end the daemon: it is logged with its function."""
        try:
            await work(*arguments)
        except Exception as error:
            logger.error("task failed", exc_info=error, extra={"fields": self._names()})
