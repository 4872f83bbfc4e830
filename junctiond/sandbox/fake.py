"""A launcher without processes, for tests of the whole daemon.

By default a launched guest runs until it is stopped. Tests decide otherwise through `fail_next` (the program is never
executed) and `end` (the guest ends by itself). `FakeWorld` outlives a launcher as real sandboxes outlive a daemon.
"""

import asyncio
from dataclasses import dataclass, field

import msgspec

from junctiond.sandbox.base import Exit, KeeperState, LaunchError, Status
from junctiond.sandbox.launcher import describe
from junctiond.sandbox.spec import SandboxSpec


@dataclass(slots=True)
class FakeSandbox:
    """One sandbox of the fake world."""

    spec: SandboxSpec
    state: KeeperState
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class FakeWorld:
    """The sandboxes of a machine. `reboot` ends them all and empties the run directory."""

    sandboxes: dict[str, FakeSandbox] = field(default_factory=dict)
    launched: list[SandboxSpec] = field(default_factory=list)
    refuse_next: str = ""
    fail_next: list[str] = field(default_factory=list)
    deaf: bool = False
    """Guests ignore `stop`."""

    def end(self, sandbox: str, *, code: int | None = 0, signal: int | None = None) -> None:
        """Lets a guest end by itself."""
        self._end(sandbox, status=Status.EXITED, exit_code=code, signal=signal)

    def reboot(self) -> None:
        """Ends everything, leaving no file."""
        for one in self.sandboxes.values():
            one.gone.set()
        self.sandboxes.clear()

    def _end(self, sandbox: str, **changes: object) -> None:
        one = self.sandboxes[sandbox]
        if not one.gone.is_set():
            one.state = msgspec.structs.replace(one.state, **changes)
            one.gone.set()


class FakeLauncher:
    """`Launcher` over a `FakeWorld`."""

    def __init__(self, world: FakeWorld | None = None) -> None:
        self.world = world or FakeWorld()

    async def launch(self, spec: SandboxSpec) -> None:
        """See `Launcher`."""
        world = self.world
        if world.refuse_next:
            message, world.refuse_next = world.refuse_next, ""
            raise LaunchError(message)
        world.launched.append(spec)
        state = KeeperState(
            spec.id, Status.RUNNING, keeper_pid=4000 + len(world.launched), init_pid=5000
        )
        world.sandboxes[spec.id] = FakeSandbox(spec, state)
        if world.fail_next:
            world._end(spec.id, status=Status.FAILED, error=world.fail_next.pop(0))

    async def adopt(self) -> set[str]:
        """See `Launcher`."""
        for name in [name for name, one in self.world.sandboxes.items() if one.gone.is_set()]:
            del self.world.sandboxes[name]
        return set(self.world.sandboxes)

    async def wait(self, sandbox: str) -> Exit:
        """See `Launcher`."""
        one = self.world.sandboxes.get(sandbox)
        if one is None:
            return describe(None)
        await one.gone.wait()
        return describe(one.state)

    def stop(self, sandbox: str) -> None:
        """See `Launcher`."""
        if sandbox in self.world.sandboxes and not self.world.deaf:
            self.world.end(sandbox, code=None, signal=15)

    def kill(self, sandbox: str) -> None:
        """See `Launcher`."""
        one = self.world.sandboxes.get(sandbox)
        if one is not None:
            one.gone.set()

    def state(self, sandbox: str) -> KeeperState | None:
        """See `Launcher`."""
        one = self.world.sandboxes.get(sandbox)
        return one.state if one else None

    async def forget(self, sandbox: str) -> None:
        """See `Launcher`."""
        self.world.sandboxes.pop(sandbox, None)

    def close(self) -> None:
        """See `Launcher`."""
