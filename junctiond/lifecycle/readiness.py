"""When a new replica accepts connections: by jnetd's listening event or by its probe, whichever comes first.

The event is the exact moment. The probe survives an event that was lost with a connection, and asks the ready path of a
function that has one.
"""

import asyncio
import contextlib
from typing import Any

from junctiond.dataplane.base import Dataplane, DataplaneError, DataplaneLost

POLL_S = 0.05
"""Before the first probe (the event normally comes first) and between failed ones."""
PROBE_MS_MAX = 5_000


class Readiness:
    """The replicas of one function that are waited for."""

    def __init__(self, dataplane: Dataplane) -> None:
        self._dataplane = dataplane
        self._heard: dict[str, asyncio.Event] = {}

    def expect(self, sandbox: str) -> None:
        """From now on events of this sandbox are remembered."""
        self._heard[sandbox] = asyncio.Event()

    def hear(self, sandbox: str) -> None:
        """The sandbox listens on the function's port."""
        event = self._heard.get(sandbox)
        if event is not None:
            event.set()

    def forget(self, sandbox: str) -> None:
        """The sandbox is gone."""
        self._heard.pop(sandbox, None)

    async def wait(self, sandbox: str, port: int, path: str | None) -> None:
        """Returns once the sandbox accepts connections and, with `path`, answers 2xx on it."""
        heard = self._heard[sandbox]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await heard.wait()
                if path is None:
                    return
        async with asyncio.TaskGroup() as group:
            probing = group.create_task(self._probe(sandbox, port, path))
            hearing = group.create_task(heard.wait())
            both: set[asyncio.Task[Any]] = {probing} if path else {probing, hearing}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            probing.cancel()
            hearing.cancel()

    async def _probe(self, sandbox: str, port: int, path: str | None) -> None:
        while True:
            try:
                await self._dataplane.probe(sandbox, port, path, PROBE_MS_MAX)
                return
            except (DataplaneError, DataplaneLost):
                await asyncio.sleep(POLL_S)
