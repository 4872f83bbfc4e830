"""All functions of this host, alive: their controllers, and who hears of which sandbox.

The registry is what the data plane talks to (`dataplane.base.Listener`) and where a restarted daemon puts together what
the store says should be and what the launcher finds running.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from junctiond.dataplane.base import Dataplane
from junctiond.dataplane.protocol import (
    Attached,
    AttachedSandbox,
    Detached,
    Event,
    Listening,
    Violation,
    Wanted,
)
from junctiond.domain import EventKind, Function, FunctionEvent
from junctiond.errors import HostError
from junctiond.lifecycle import events
from junctiond.lifecycle.controller import FunctionController, Key, Surroundings
from junctiond.lifecycle.generation import Generation
from junctiond.lifecycle.state import Observed, Phase, Policy, Replica
from junctiond.lifecycle.workshop import Workshop
from junctiond.sandbox.plan import LaunchPlan, Watchdog, make_plan
from junctiond.settings import Settings
from junctiond.store import FunctionRow, Lease, Store

logger = logging.getLogger(__name__)

STOP_SLACK_NS = 5_000_000_000
ATTACH_TIMEOUT_NS = 10_000_000_000
"""How long a keeper may take to attach again after the data plane lost its sandbox."""
WATCH_EVENTS_MAX = 10_000
"""A watcher that does not read is cut off rather than remembered for ever."""


class Watcher:
    """One reader of the watch stream. `overflowed` once it was too slow."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[FunctionEvent | None] = asyncio.Queue(WATCH_EVENTS_MAX)

    def put(self, event: FunctionEvent) -> bool:
        """False where the watcher is to be dropped."""
        if self.queue.full():
            self.queue.get_nowait()
            self.queue.put_nowait(None)
            return False
        self.queue.put_nowait(event)
        return True


class FunctionRegistry:
    """The controllers of all functions."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        workshop: Workshop,
        dataplane: Dataplane,
        group: asyncio.TaskGroup,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._settings = settings
        self._store = store
        self._workshop = workshop
        self._group = group
        self._around = Surroundings(
            workshop, dataplane, store, self._spawn, self._changed, self._finished, now_ns
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._functions: dict[Key, FunctionController] = {}
        self._retiring: set[FunctionController] = set()
        self._one_finished = asyncio.Event()
        self._watchers: set[Watcher] = set()
        self._seen: dict[Key, Function] = {}

    # Functions.

    def find(self, namespace: str, name: str) -> FunctionController | None:
        """A function that is accepted; one on its first trial does not exist yet for anybody."""
        found = self._functions.get((namespace, name))
        return found if found is not None and found.current is not None else None

    def functions(self) -> list[FunctionController]:
        """The accepted functions, by namespace and name."""
        return [one for _, one in sorted(self._functions.items()) if one.current is not None]

    def controllers(self) -> list[FunctionController]:
        """Everything that may have a sandbox."""
        return [*self._functions.values(), *self._retiring]

    def add(self, namespace: str, name: str, plan: LaunchPlan) -> FunctionController:
        """A controller for a function that is being created."""
        key = (namespace, name)
        return self._start(FunctionController(key, self._around, self.policy(plan)))

    def retire(self, controller: FunctionController, *, deleted: bool = True) -> None:
        """Ends a function; its name is free at once. Not `deleted`: only until the next start of the daemon."""
        self._functions.pop(controller.key, None)
        controller.deleted = deleted
        if not controller.done:
            self._retiring.add(controller)
        controller.retire()

    def policy(self, plan: LaunchPlan) -> Policy:
        """Durations for a function's lifecycle."""
        settings = self._settings
        return Policy(
            ready_timeout_ns=settings.ready_timeout_ms * 1_000_000,
            drain_timeout_ns=settings.drain_timeout_ms * 1_000_000,
            attach_timeout_ns=ATTACH_TIMEOUT_NS,
            stop_timeout_ns=plan.grace_ms * 1_000_000 + STOP_SLACK_NS,
            backoff_max_ns=settings.restart_backoff_ms_max * 1_000_000,
            healthy_after_ns=settings.healthy_after_ms * 1_000_000,
        )

    # Start and end.

    def restore(self, running: set[str]) -> None:
        """Puts together what should be and what runs; what belongs to nothing is stopped.

        Args:
            running: sandboxes that the launcher adopted.
        """
        leases: dict[Key, list[Lease]] = {}
        for lease in self._workshop.leases():
            leases.setdefault((lease.namespace, lease.name), []).append(lease)
        kept: set[str] = set()
        for row in self._store.functions():
            key = (row.deployment.namespace, row.deployment.name)
            ours = [
                lease
                for lease in leases.get(key, [])
                if lease.sandbox in running and lease.generation <= row.generation
            ]
            kept |= {lease.sandbox for lease in ours}
            self._restore(row, ours)
        for lease in self._workshop.leases():
            if lease.sandbox not in kept:
                self._spawn(self._clear(lease.sandbox))
        for sandbox in running - kept - {lease.sandbox for lease in self._workshop.leases()}:
            self._spawn(self._clear(sandbox))

    async def stop(self) -> None:
        """Ends every sandbox of this host; the functions stay in the store."""
        for controller in list(self._functions.values()):
            self.retire(controller, deleted=False)
        while self._retiring:
            self._one_finished.clear()
            await self._one_finished.wait()

    def abandon(self) -> None:
        """Lets go of everything without touching it: the next daemon takes over."""
        for task in list(self._tasks):
            task.cancel()

    def images_on_trial(self) -> set[str]:
        """Digests of images that no row names yet."""
        return {digest for one in self.controllers() if (digest := one.image_on_trial)}

    def _restore(self, row: FunctionRow, leases: list[Lease]) -> None:
        now_ns = self._around.now_ns()
        replicas = tuple(
            Replica(
                lease.sandbox,
                lease.generation,
                Phase.READY if lease.ready_at_ns else Phase.LAUNCHING,
                now_ns,
            )
            for lease in leases
        )
        watchdog = Watchdog(row.watchdog)
        try:
            plan = make_plan(row.image.config, row.deployment, self._settings, watchdog)
        except HostError as error:
            # The host's settings changed so that the plan became impossible: the others must start all the same.
            fields = {"name": row.deployment.name, "error": error.message}
            logger.error("function cannot be restored", extra={"fields": fields})
            return
        generation = Generation(row.generation, row.deployment, row.image, watchdog, plan)
        for lease in leases:
            self._workshop.resume(lease.sandbox, generation)
        self._start(
            FunctionController(
                (row.deployment.namespace, row.deployment.name),
                self._around,
                self.policy(plan),
                current=generation,
                replicas=row.replicas,
                created_at_ns=row.created_at_ns,
                observed=Observed(replicas),
            )
        )

    async def _clear(self, sandbox: str) -> None:
        """Ends a sandbox that no function owns and removes its remains."""
        logger.info("stray sandbox", extra={"fields": {"sandbox": sandbox}})
        self._workshop.stop(sandbox)
        await self._workshop.wait(sandbox)
        await self._workshop.forget(sandbox)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start(self, controller: FunctionController) -> FunctionController:
        self._functions[controller.key] = controller
        self._spawn(controller.run())
        return controller

    # What controllers report.

    def _finished(self, controller: FunctionController) -> None:
        self._retiring.discard(controller)
        self._one_finished.set()
        if self._functions.get(controller.key) is controller:
            del self._functions[controller.key]
        if not controller.deleted:
            return  # the daemon stops; the function and its logs stay
        taken = controller.key in self._functions
        if not taken:
            self._workshop.meter.forget_owner(controller.key)
        self._workshop.logs.delete(*controller.key, controller.sandboxes if taken else None)

    def _changed(self, controller: FunctionController) -> None:
        """Tells the watchers, where what they see has changed."""
        if controller.current is None or self._functions.get(controller.key) is not controller:
            return
        if not self._watchers:
            # Whoever watches later begins with the present.
            self._seen.pop(controller.key, None)
            return
        function = view(controller)
        if self._seen.get(controller.key) != function:
            self._seen[controller.key] = function
            self._tell(FunctionEvent(EventKind.PUT, function))

    def deleted(self, function: Function) -> None:
        """Tells the watchers that a function is gone."""
        self._seen.pop((function.deployment.namespace, function.deployment.name), None)
        self._tell(FunctionEvent(EventKind.DELETED, function))

    def watch(self) -> Watcher:
        """A watcher that has every function already in its queue."""
        watcher = Watcher()
        for controller in self.functions():
            watcher.put(FunctionEvent(EventKind.PUT, view(controller)))
        self._watchers.add(watcher)
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """Forgets a watcher."""
        self._watchers.discard(watcher)

    def _tell(self, event: FunctionEvent) -> None:
        for watcher in list(self._watchers):
            if not watcher.put(event):
                self._watchers.discard(watcher)

    # What the data plane reports.

    def dataplane_event(self, event: Event) -> None:
        """See `dataplane.base.Listener`."""
        match event:
            case Wanted(name, namespace):
                controller = self._functions.get((namespace, name))
                if controller is not None:
                    controller.wake()
            case Listening(sandbox, port):
                for owner in self._owners(sandbox):
                    owner.listening(sandbox, port)
            case Attached(sandbox):
                for owner in self._owners(sandbox):
                    owner.post(events.Attached(sandbox))
            case Detached(sandbox, reason):
                for owner in self._owners(sandbox):
                    if owner.counts_on(sandbox):  # the end of one that was stopped is told once
                        fields = {"sandbox": sandbox, "reason": reason}
                        logger.info("sandbox detached", extra={"fields": fields})
                    owner.post(events.Detached(sandbox))
            case Violation(sandbox, kind):
                fields = {"sandbox": sandbox, "kind": kind}
                logger.warning("violation by a guest", extra={"fields": fields})

    def dataplane_connected(self, sandboxes: list[AttachedSandbox]) -> None:
        """See `dataplane.base.Listener`."""
        attached = {one.sandbox for one in sandboxes}
        for controller in self.controllers():
            controller.attached(attached)
        for one in sandboxes:
            for port in one.listening:
                for owner in self._owners(one.sandbox):
                    owner.listening(one.sandbox, port)

    def dataplane_lost(self) -> None:
        """See `dataplane.base.Listener`."""
        for controller in self.controllers():
            controller.dataplane_lost()

    def _owners(self, sandbox: str) -> Iterator[FunctionController]:
        lease = self._workshop.lease(sandbox)
        if lease is None:
            return
        for controller in (self._functions.get((lease.namespace, lease.name)), *self._retiring):
            if controller is not None and events.find(controller.observed, sandbox) is not None:
                yield controller


def view(controller: FunctionController) -> Function:
    """A function as readers see it."""
    assert controller.current is not None
    return Function(
        deployment=controller.current.deployment,
        replicas=controller.desired.replicas,
        replicas_available=controller.available,
        created_at_ns=controller.created_at_ns,
        generation=controller.current.number,
        last_error=controller.error,
    )
