"""When a new replica accepts connections: by jnetd's listening event or by its probe, whichever comes first.

The event is the exact moment. The probe stands in for an event that did not come, and asks the ready path of a function
that has one. A launch whose event comes, as all but a few do, costs a timer and no task.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from junctiond.dataplane.base import Dataplane, DataplaneError, DataplaneLost

PATIENCE_S = 0.25
"""For the event, before the first probe: on a busy host it comes late, and probes would make the host busier."""
POLL_S = 0.05
"""Between failed probes."""
PROBE_MS_MAX = 5_000

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs a task."""


@dataclass(slots=True)
class _Expected:
    port: int
    path: str | None
    answered: Callable[[], None]
    timer: asyncio.TimerHandle
    probing: bool = False


class Readiness:
    """The replicas of one function that are waited for."""

    def __init__(self, dataplane: Dataplane, spawn: Spawn) -> None:
        self._dataplane = dataplane
        self._spawn = spawn
        self._expected: dict[str, _Expected] = {}

    def expect(
        self, sandbox: str, port: int, path: str | None, answered: Callable[[], None]
    ) -> None:
        """Calls `answered` once, when the sandbox accepts connections and, with `path`, answers 2xx on it."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(PATIENCE_S, self._start_probing, sandbox)
        self._expected[sandbox] = _Expected(port, path, answered, timer)

    def hear(self, sandbox: str) -> None:
        """The sandbox listens on the function's port."""
        expected = self._expected.get(sandbox)
        if expected is None:
            return
        if expected.path is None:
            self._end(sandbox, expected)
        else:
            self._start_probing(sandbox)

    def forget(self, sandbox: str) -> None:
        """The sandbox is gone, or known to answer."""
        expected = self._expected.pop(sandbox, None)
        if expected is not None:
            expected.timer.cancel()

    def close(self) -> None:
        """Nobody waits any more."""
        for sandbox in list(self._expected):
            self.forget(sandbox)

    def _end(self, sandbox: str, expected: _Expected) -> None:
        if self._expected.get(sandbox) is expected:
            self.forget(sandbox)
            expected.answered()

    def _start_probing(self, sandbox: str) -> None:
        expected = self._expected.get(sandbox)
        if expected is not None and not expected.probing:
            expected.probing = True
            expected.timer.cancel()
            self._spawn(lambda: self._probe(sandbox, expected))

    async def _probe(self, sandbox: str, expected: _Expected) -> None:
        while self._expected.get(sandbox) is expected:
            try:
                await self._dataplane.probe(sandbox, expected.port, expected.path, PROBE_MS_MAX)
            except (DataplaneError, DataplaneLost):
                await asyncio.sleep(POLL_S)
            else:
                self._end(sandbox, expected)
                return
