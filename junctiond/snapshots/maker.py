"""Takes snapshots: a further sandbox of the function, which gets no route, is captured once it waits, and ends.

No invocation ever reaches it, so what is captured has seen the function's start and nothing else.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import msgspec

from junctiond.dataplane.base import Dataplane, DataplaneError, DataplaneLost
from junctiond.dataplane.statistics import SandboxCounters, parse_statistics
from junctiond.errors import HostError
from junctiond.lifecycle.generation import Generation
from junctiond.sandbox.base import KeeperState, Launcher, LaunchError
from junctiond.sandbox.plan import SnapshotChoice
from junctiond.sandbox.spec import SandboxSpec, SnapshotTake, SnapshotWish
from junctiond.settings import Settings, SettingsError
from junctiond.snapshots import process
from junctiond.snapshots.process import Program
from junctiond.snapshots.shelf import AGE_NS_MAX, Attempts, Owner, Shelf
from junctiond.snapshots.worth import Start, objection, slow, worth_taking
from junctiond.store import Lease

logger = logging.getLogger(__name__)

PAUSE_S = 0.5
"""The invocations that the new replica was started for come first."""
TAKE_TIMEOUT_MS = 20_000
HANG_S = 40.0
ATTEMPTS_MAX = 3
"""Of one key in the time that a snapshot lasts: one whose replicas do not live is not taken for ever."""
QUICK_STARTS = 3
"""A program that started quickly so often, by its own CPU time, is not looked at again until it is deployed anew."""
GENERATIONS_MAX = 4096
LOOK_S = 0.04
"""Between looks at the builder's sockets; the keeper lets a program settle for longer than this."""


class Builder(Protocol):
    """What the maker needs of the workshop."""

    def begin(self, generation: Generation) -> Lease:
        """See `Workshop`."""
        ...

    async def specification(self, lease: Lease, generation: Generation) -> SandboxSpec:
        """See `Workshop`."""
        ...

    async def forget(self, sandbox: str) -> None:
        """See `Workshop`."""
        ...


class SnapshotMaker:
    """Takes snapshots, one at a time."""

    def __init__(
        self,
        settings: Settings,
        builder: Builder,
        launcher: Launcher,
        dataplane: Dataplane,
        shelf: Shelf,
        pause_s: float = PAUSE_S,
        look: Callable[[int], Program | None] = process.look,
    ) -> None:
        self._settings = settings
        self._builder = builder
        self._launcher = launcher
        self._dataplane = dataplane
        self._shelf = shelf
        self._pause_s = pause_s
        self._look = look
        self._queue: asyncio.Queue[tuple[Owner, str, Generation]] = asyncio.Queue()
        self._quick: dict[int, int] = {}
        """How often in a row a generation was seen to start quickly, by its number."""

    async def run(self) -> None:
        """Takes what was found worth it, one after another, until cancelled."""
        while True:
            owner, key, generation = await self._queue.get()
            try:
                await self._make(owner, key, generation)
            except Exception as error:  # functions start without snapshots too
                fields = {"name": owner[1], "namespace": owner[0]}
                logger.error("snapshot failed", exc_info=error, extra={"fields": fields})

    def cares(self, generation: Generation, spec: SandboxSpec) -> bool:
        """See `snapshots.base.SnapshotMaker`."""
        if self._shelf.restorer is None:
            return False
        if spec.snapshot is not msgspec.UNSET:
            return True  # it was to be restored: whether it was is counted
        choice = generation.plan.snapshot
        if choice is SnapshotChoice.AUTO:
            return self._quick.get(generation.number, 0) < QUICK_STARTS
        return choice is SnapshotChoice.ALWAYS

    def consider(
        self, lease: Lease, generation: Generation, spec: SandboxSpec, state: KeeperState | None
    ) -> None:
        """A replica accepts connections: takes a snapshot of its function where that is worth it."""
        if self._shelf.restorer is None or state is None:
            return
        owner = (lease.namespace, lease.name)
        outcome = state.snapshot
        if outcome is not None:
            self._count(owner, lease.sandbox, outcome.restored, outcome.fallback)
        program = self._look(state.init_pid) if state.init_pid else None
        if not self._slow(generation, program):
            return
        key = self._shelf.key(spec)
        start = Start(
            choice=generation.plan.snapshot,
            program=program,
            restored=outcome is not None and outcome.restored,
            exists=self._shelf.fresh(owner, key) is not None,
            refused=self._blocked(owner, key),
        )
        if worth_taking(start):
            before = self._shelf.attempts.get(owner)
            count = before.count if before is not None and before.key == key else 0
            now_ns = time.monotonic_ns()
            self._shelf.attempts[owner] = Attempts(key, count + 1, now_ns, underway=True)
            self._shelf.claim(owner, key)
            self._queue.put_nowait((owner, key, generation))

    def _slow(self, generation: Generation, program: Program | None) -> bool:
        """Whether this start is one to look closer at; one that cannot be seen counts for nothing."""
        number = generation.number
        if generation.plan.snapshot is not SnapshotChoice.AUTO or slow(program):
            self._quick.pop(number, None)
            return True
        if program is not None:
            times = self._quick.pop(number, 0) + 1
            while len(self._quick) >= GENERATIONS_MAX:
                del self._quick[next(iter(self._quick))]
            self._quick[number] = times
        return False

    def _blocked(self, owner: Owner, key: str) -> bool:
        """Whether another attempt would be in vain: one is under way, was refused, or several did not last."""
        made = self._shelf.attempts.get(owner)
        if made is None or made.key != key:
            return False
        lately = time.monotonic_ns() - made.last_ns < AGE_NS_MAX
        return made.underway or made.refused or (lately and made.count >= ATTEMPTS_MAX)

    def _count(self, owner: Owner, sandbox: str, restored: bool, fallback: str | None) -> None:
        counts = self._shelf.counts
        fields = {"sandbox": sandbox}
        if restored:
            counts.restored += 1
            logger.info("replica restored", extra={"fields": fields})
        elif fallback:
            counts.fallbacks += 1
            logger.warning("not restored", extra={"fields": fields | {"why": fallback}})

    async def _make(self, owner: Owner, key: str, generation: Generation) -> None:
        counts = self._shelf.counts
        fields: dict[str, object] = {"name": owner[1], "namespace": owner[0]}
        try:
            await asyncio.sleep(self._pause_s)
            if not self._shelf.wants(owner, key):
                return
            taken_bytes, refused = await self._build(owner, key, generation)
        except (OSError, HostError, LaunchError, SettingsError) as error:
            taken_bytes, refused = 0, str(error)
        finally:
            self._settle(owner, key, refused="")
        if not self._shelf.wants(owner, key):
            return
        if refused:
            self._settle(owner, key, refused)
            counts.refused += 1
            counts.reasons[owner] = refused
            self._shelf.discard(owner, key)
            logger.info("no snapshot", extra={"fields": fields | {"why": refused}})
            return
        self._shelf.publish(owner, key)
        counts.taken += 1
        counts.reasons.pop(owner, None)
        logger.info("snapshot taken", extra={"fields": fields | {"bytes": taken_bytes}})

    def _settle(self, owner: Owner, key: str, refused: str) -> None:
        made = self._shelf.attempts.get(owner)
        if made is not None and made.key == key:
            self._shelf.attempts[owner] = replace(made, underway=False, refused=bool(refused))

    async def _build(self, owner: Owner, key: str, generation: Generation) -> tuple[int, str]:
        """Bytes taken, and why not."""
        lease = self._builder.begin(generation)
        try:
            spec = await self._builder.specification(lease, generation)
            if self._shelf.key(spec) != key:
                return 0, "its secrets or files changed meanwhile"
            await self._launcher.launch(self._to_take(spec, owner, key))
            counters = await self._watch(lease.sandbox)
            state = self._launcher.state(lease.sandbox)
        finally:
            # Also when the daemon stops: the sandbox must not outlive its lease.
            await asyncio.shield(self._clear(lease.sandbox))
        outcome = state.snapshot if state else None
        if outcome is None or outcome.taken_bytes is None:
            why = outcome.refused if outcome else (state.error if state else None)
            return 0, why or "its sandbox ended before it could be captured"
        sockets = counters.injected if counters else 0
        return outcome.taken_bytes, objection(generation.plan.snapshot, sockets, 1)

    async def _clear(self, sandbox: str) -> None:
        self._launcher.kill(sandbox)
        await self._launcher.wait(sandbox)
        await self._builder.forget(sandbox)

    def _to_take(self, spec: SandboxSpec, owner: Owner, key: str) -> SandboxSpec:
        take = SnapshotTake(
            file=str(self._shelf.draft(owner, key, ".taken")),
            bytes_max=self._settings.snapshot_mib_max << 20,
            timeout_ms=TAKE_TIMEOUT_MS,
        )
        # What it says it says again in every replica that is started in the ordinary way.
        log = msgspec.structs.replace(spec.log, path=str(self._shelf.draft(owner, key, ".log")))
        wish = SnapshotWish(restorer=str(self._shelf.restorer), take=take)
        return msgspec.structs.replace(spec, snapshot=wish, log=log)

    async def _watch(self, sandbox: str) -> SandboxCounters | None:
        """The last counters of a sandbox before it ended."""
        last: SandboxCounters | None = None

        async def look() -> None:
            nonlocal last
            while True:
                last = await self._counters(sandbox) or last
                await asyncio.sleep(LOOK_S)

        try:
            async with asyncio.timeout(HANG_S), asyncio.TaskGroup() as group:
                looking = group.create_task(look())
                await self._launcher.wait(sandbox)
                looking.cancel()
        except TimeoutError:
            logger.warning("snapshot timed out", extra={"fields": {"sandbox": sandbox}})
        return last

    async def _counters(self, sandbox: str) -> SandboxCounters | None:
        with contextlib.suppress(DataplaneLost, DataplaneError, msgspec.MsgspecError):
            found = parse_statistics(await self._dataplane.stats_json()).sandboxes
            return next((one for one in found if one.sandbox == sandbox), None)
        return None
