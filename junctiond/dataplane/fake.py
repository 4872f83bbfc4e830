"""A data plane without sockets. It remembers what it was told; tests say what its guests do."""

import asyncio
from dataclasses import dataclass, field

from junctiond.dataplane.base import DataplaneError, DataplaneLost, Listener
from junctiond.dataplane.protocol import (
    PROTOCOL,
    Attached,
    AttachedSandbox,
    Detached,
    Function,
    Hello,
    Listening,
    Platform,
    Wanted,
)


@dataclass(slots=True)
class FakeDataplane:
    """`Dataplane` in memory. `auto_ready` lets every sandbox attach and listen when it is probed."""

    listener: Listener | None = None
    told: dict[tuple[str, str], Function] = field(default_factory=dict)
    """What the client remembers to tell every new jnetd."""
    functions: dict[tuple[str, str], Function] = field(default_factory=dict)
    """What jnetd knows."""
    history: list[Function] = field(default_factory=list)
    listening: dict[str, set[int]] = field(default_factory=dict)
    in_flight: dict[str, int] = field(default_factory=dict)
    platform: Platform | None = None
    spins: dict[str, int] = field(default_factory=dict)
    auto_ready: bool = True
    connected: bool = True
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def hello(self) -> Hello | None:
        """See `Dataplane`."""
        return Hello(PROTOCOL, "0.0.0-fake", 1, 0) if self.connected else None

    async def run(self, listener: Listener) -> None:
        """See `Dataplane`."""
        self.listener = listener
        if self.connected:
            self.reconnect()
        await asyncio.Event().wait()

    async def set_platform(self, platform: Platform) -> None:
        """See `Dataplane`."""
        self.platform = platform

    async def put_function(self, function: Function) -> None:
        """See `Dataplane`."""
        self.told[function.namespace, function.name] = function
        if self.connected:
            self.functions[function.namespace, function.name] = function
            self.history.append(function)

    async def delete_function(self, namespace: str, name: str) -> None:
        """See `Dataplane`."""
        self.told.pop((namespace, name), None)
        self.functions.pop((namespace, name), None)

    async def probe(self, sandbox: str, port: int, path: str | None, timeout_ms: int) -> int | None:
        """See `Dataplane`."""
        self._require()
        if self.auto_ready:
            self.listening.setdefault(sandbox, set()).add(port)
        try:
            async with asyncio.timeout(timeout_ms / 1e3):
                while port not in self.listening.get(sandbox, ()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise DataplaneError("not_ready", f"{sandbox}:{port} does not answer yet") from None
        return 200 if path else None

    async def drain(self, sandbox: str, timeout_ms: int) -> int:
        """See `Dataplane`."""
        self._require()
        try:
            async with asyncio.timeout(timeout_ms / 1e3):
                while self.in_flight.get(sandbox, 0):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.in_flight.get(sandbox, 0)

    async def sandboxes(self) -> list[AttachedSandbox]:
        """See `Dataplane`."""
        self._require()
        return self._attached()

    def _attached(self) -> list[AttachedSandbox]:
        return [
            AttachedSandbox(name, "", tuple(sorted(ports)))
            for name, ports in self.listening.items()
        ]

    async def put_wake_policy(self, sandbox: str, spin_us: int) -> None:
        """See `Dataplane`."""
        self._require()
        if sandbox not in self.listening:
            raise DataplaneError("unknown_sandbox", f"{sandbox} is not attached")
        self.spins[sandbox] = spin_us

    async def stats_json(self) -> str:
        """See `Dataplane`."""
        self._require()
        return '{"functions":[],"sandboxes":[],"workers":[]}'

    # What guests do.

    def listen(self, sandbox: str, port: int = 8080) -> None:
        """A guest attaches and listens."""
        self.listening.setdefault(sandbox, set()).add(port)
        self._changed.set()
        if self.listener is not None:
            self.listener.dataplane_event(Attached(sandbox))
            self.listener.dataplane_event(Listening(sandbox, port))

    def cut_off(self, sandbox: str, reason: str = "violation") -> None:
        """The data plane drops a sandbox."""
        self.listening.pop(sandbox, None)
        if self.listener is not None:
            self.listener.dataplane_event(Detached(sandbox, reason))

    def want(self, name: str, namespace: str) -> None:
        """A request waits for a function without replicas."""
        if self.listener is not None:
            self.listener.dataplane_event(Wanted(name, namespace))

    def finish(self, sandbox: str) -> None:
        """The invocations in flight end."""
        self.in_flight.pop(sandbox, None)
        self._changed.set()

    def reconnect(self) -> None:
        """A connection stands: jnetd is told everything and nothing else."""
        self.connected = True
        self.functions = dict(self.told)
        if self.listener is not None:
            self.listener.dataplane_connected(self._attached())

    def lose(self) -> None:
        """jnetd dies: it forgets everything."""
        self.connected = False
        self.functions.clear()
        self.listening.clear()
        if self.listener is not None:
            self.listener.dataplane_lost()

    def _require(self) -> None:
        if not self.connected:
            raise DataplaneLost("there is no connection to jnetd")
