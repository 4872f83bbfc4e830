"""The loop between policies and threads: looks, lets them decide, carries it out, and sleeps as long as it may.

While nothing is busy it looks every five seconds at one file; the kernel's pressure alarm and sandboxes that come wake
it before. While something is busy it looks four times a second, less often where looking itself would take more than a
hundredth of a core (thousands of sandboxes).
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import msgspec

from junctiond.cores.base import Actuator, Assignment, Signals, Wish
from junctiond.cores.layout import Layout, Mode
from junctiond.cores.policy import PlacementPolicy
from junctiond.cores.pressure import PressureAlarm
from junctiond.cores.sampler import Look, compare
from junctiond.cores.spin import IDLE_SHARE_MIN, Caller, SpinPolicy
from junctiond.dataplane.base import Dataplane, DataplaneError, DataplaneLost
from junctiond.dataplane.statistics import Statistics, parse_statistics

logger = logging.getLogger(__name__)

CALM_PERIOD_S = 5.0
BUSY_PERIOD_S = 0.25
SETTLE_S = 0.05
"""After an event: what belongs together may come together."""
COST_SHARE_MAX = 0.01
EAGER_SHARE = 0.05
"""What a worker runs while a host whose placement is `latency` looks for somebody to poll."""
LEND_BUSY_MAX = 0.5
"""A core without workers that is busier than this is not lent to who would poll."""
AGAIN_NS = 2_000_000_000
"""How often the threads of a moved sandbox are looked for anew: some may have been starting, or moved themselves."""


class Sampling(Protocol):
    """What a steward needs of a sampler."""

    def look(self, now_ns: int, jnetd: int | None, sandboxes: Iterator[str]) -> Look:
        """The counters now."""
        ...

    def forget(self, sandbox: str) -> None:
        """A sandbox is gone."""
        ...

    def close(self) -> None:
        """Lets go of everything."""
        ...


class Steward:
    """Knows every sandbox's place and keeps it there."""

    def __init__(
        self,
        layout: Layout,
        sampler: Sampling,
        actuator: Actuator,
        dataplane: Dataplane,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.layout = layout
        self._sampler = sampler
        self._actuator = actuator
        self._dataplane = dataplane
        self._owners: dict[str, tuple[str, str]] = {}
        self._now_ns = now_ns
        self._policy = PlacementPolicy(layout)
        self._spin = SpinPolicy(layout.mode, len(layout.usable))
        self._wake = asyncio.Event()
        self._before: Look | None = None
        self._counts: dict[tuple[str, str], int] | None = None
        self._again_at_ns = 0
        self._said: dict[str, str] = {}
        self._watchful = False
        self.looks = 0
        """How often it looked; an idle host shows by it that it is idle."""

    # What others tell and ask.

    def seat(self, sandbox: str, owner: tuple[str, str], wish: Wish) -> tuple[int, ...]:
        """See `Seats`."""
        self._wake.set()
        self._owners[sandbox] = owner
        return self._policy.arrive(sandbox, wish, self._now_ns()).cores

    def adopt(self, sandbox: str, owner: tuple[str, str], wish: Wish) -> None:
        """See `Seats`."""
        self._owners[sandbox] = owner
        cores = self._policy.arrive(sandbox, wish, self._now_ns()).cores
        # The daemon that launched it may have had other cores, or another placement.
        self._put(sandbox, cores or self.layout.usable)

    def leave(self, sandbox: str) -> None:
        """See `Seats`."""
        self._policy.leave(sandbox)
        self._owners.pop(sandbox, None)
        self._spin.forget(sandbox)
        self._sampler.forget(sandbox)
        self._said.pop(sandbox, None)

    def assignment(self, sandbox: str) -> Assignment | None:
        """Where a sandbox belongs and why."""
        return self._policy.assignment(sandbox)

    def spin_us(self, sandbox: str) -> int:
        """How long a sandbox may poll before it parks."""
        return self._spin.granted.get(sandbox, 0)

    # The loop.

    async def run(self) -> None:
        """Works until cancelled; returns at once where there is nothing to choose."""
        if not self.layout.doors or len(self.layout.usable) < 2:
            return
        alarm = PressureAlarm()
        loop = asyncio.get_running_loop()
        if alarm.fd is not None:
            loop.add_reader(alarm.fd, self._wake.set)
        try:
            while True:
                started_ns = time.thread_time_ns()
                await self._turn()
                cost_s = (time.thread_time_ns() - started_ns) / 1e9
                await self._sleep(cost_s)
        finally:
            if alarm.fd is not None:
                loop.remove_reader(alarm.fd)
            alarm.close()
            self._sampler.close()

    async def _sleep(self, cost_s: float) -> None:
        """Until the next look is due. An event shortens a calm sleep only: a busy one is short as it is."""
        at_least_s = cost_s / COST_SHARE_MAX
        if not self._policy.calm or self._spin.granted or self._watchful:
            self._wake.clear()
            await asyncio.sleep(max(BUSY_PERIOD_S, at_least_s))
            return
        await asyncio.sleep(max(SETTLE_S, at_least_s))
        try:
            async with asyncio.timeout(CALM_PERIOD_S):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _turn(self) -> None:
        self.looks += 1
        now_ns = self._now_ns()
        hello = self._dataplane.hello
        wants = self._policy.wants_shares or self._watchful or bool(self._spin.granted)
        wanted = iter(self._policy.assignments if wants else ())
        look = self._sampler.look(now_ns, hello.pid if hello else None, wanted)
        before, self._before = self._before, look
        if before is None or now_ns <= before.at_ns:
            return
        seen = compare(look, before)
        span_ns = now_ns - before.at_ns
        self._watchful = self._eager(seen)
        statistics = await self._statistics() if wants else None
        if statistics is None:
            self._counts = None
        else:
            seen = replace(seen, requests=self._rates(statistics, span_ns))
        for sandbox, place in self._policy.decide(seen, span_ns, now_ns):
            self._move(sandbox, place)
        self._place_again(now_ns)
        if statistics is not None:
            await self._grant(seen, statistics, span_ns)

    async def _statistics(self) -> Statistics | None:
        try:
            return parse_statistics(await self._dataplane.stats_json())
        except (DataplaneLost, DataplaneError, msgspec.MsgspecError):
            return None

    def _rates(self, statistics: Statistics, span_ns: int) -> dict[str, float]:
        """Invocations per second of each sandbox: those of its function, divided among its replicas."""
        counts = {(one.namespace, one.name): one.started for one in statistics.functions}
        before, self._counts = self._counts, counts
        if before is None:
            return {}
        replicas = Counter(self._owners.values())
        return {
            sandbox: max(0, counts.get(owner, 0) - before.get(owner, 0))
            * 1e9
            / span_ns
            / replicas[owner]
            for sandbox, owner in self._owners.items()
        }

    def _move(self, sandbox: str, place: Assignment) -> None:
        fields = {
            "sandbox": sandbox,
            "cores": list(place.cores),
            "seat": place.seat.value,
            "reason": place.reason,
        }
        logger.info("sandbox moved", extra={"fields": fields})
        self._put(sandbox, place.cores)

    def _put(self, sandbox: str, cores: tuple[int, ...]) -> None:
        refused = self._actuator.place(sandbox, cores) if cores else ""
        if refused and self._said.get(sandbox) != refused:
            fields = {"sandbox": sandbox, "error": refused}
            logger.warning("sandbox not moved", extra={"fields": fields})
        self._said[sandbox] = refused

    def _place_again(self, now_ns: int) -> None:
        if now_ns < self._again_at_ns:
            return
        self._again_at_ns = now_ns + AGAIN_NS
        for sandbox, place in self._policy.assignments.items():
            if place.moves:
                self._put(sandbox, place.cores)

    # Spins.

    async def _grant(self, seen: Signals, statistics: Statistics, span_ns: int) -> None:
        """Grants and ends spins, where some sandbox that might poll has cores apart from the front door's."""
        apart = self._apart(seen)
        rings = {one.sandbox: one.ring_connections for one in statistics.sandboxes}
        callers = {
            sandbox: Caller(
                round(seen.requests.get(sandbox, 0.0) * span_ns / 1e9),
                seen.sandboxes.get(sandbox, 0.0),
                sandbox in apart,
                rings.get(sandbox, 0),
            )
            for sandbox in apart | self._spin.granted.keys()
        }
        idle = sum(1.0 - share >= IDLE_SHARE_MIN for share in seen.busy.values())
        await self._tell(self._spin.decide(callers, idle, span_ns))

    def _apart(self, seen: Signals) -> set[str]:
        """Sandboxes on cores without workers, and those that may be lent such cores while they are idle."""
        doors = set(self.layout.doors)
        spare = [core for core in self.layout.usable if core not in doors]
        lends = self._eager(seen) and any(
            seen.busy.get(core, 1.0) <= LEND_BUSY_MAX for core in spare
        )
        return {
            sandbox
            for sandbox, place in self._policy.assignments.items()
            if place.cores and (not set(place.cores) & doors or (lends and len(place.cores) == 1))
        }

    def _eager(self, seen: Signals) -> bool:
        """Whether answers come first here, and there are requests to answer."""
        return (
            self.layout.mode is Mode.LATENCY and max(seen.door.values(), default=0) >= EAGER_SHARE
        )

    async def _tell(self, changes: Mapping[str, int]) -> None:
        for sandbox, spin_us in changes.items():
            change = self._policy.lend if spin_us else self._policy.take_back
            moved = change(sandbox, self._now_ns())
            if moved is not None:
                self._move(sandbox, moved)
            try:
                await self._dataplane.put_wake_policy(sandbox, spin_us)
            except (DataplaneError, DataplaneLost) as error:
                # An older jnetd does not know it, or the sandbox is gone: without a grant it parks, which is right too.
                logger.debug("spin not granted", extra={"fields": {"error": str(error)}})
                self._spin.forget(sandbox)
                self._policy.take_back(sandbox, self._now_ns())
