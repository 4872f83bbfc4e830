"""What the daemon asks of a launcher; the real one and the fake pass the same conformance suite."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from junctiond.sandbox.spec import SandboxSpec


class Status(StrEnum):
    """Where a keeper is (docs/protocols.md, section 1)."""

    BUILDING = "building"
    RUNNING = "running"
    EXITED = "exited"
    FAILED = "failed"


class SnapshotOutcome(msgspec.Struct, frozen=True):
    """What became of snapshots in a sandbox whose specification asked for one."""

    restored: bool = False
    fallback: str | None = None
    """Why the program was started in the ordinary way although there was one."""
    taken_bytes: int | None = None
    refused: str | None = None
    """Why none was taken."""


class KeeperState(msgspec.Struct, frozen=True):
    """The state file of a keeper. Times are Unix nanoseconds."""

    id: str
    status: Status
    keeper_pid: int = 0
    keeper_start_ticks: int | None = None
    """When that process started, in ticks since boot (proc(5), field 22 of stat); None: an older keeper."""
    init_pid: int | None = None
    started_at_ns: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    error: str | None = None
    cpu_ns: int | None = None
    """CPU time of a sandbox that has ended; None where the host does not count it, or of an older keeper."""
    snapshot: SnapshotOutcome | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a sandbox ended. `failed`: its program was never executed."""

    message: str
    failed: bool = False


class LaunchError(Exception):
    """A keeper could not be started; the message says why."""


class Launcher(Protocol):
    """Starts, watches and ends sandboxes. Sandboxes outlive their launcher."""

    async def launch(self, spec: SandboxSpec) -> None:
        """Starts the keeper of a new sandbox; returns without waiting for the guest.

        Raises:
            LaunchError: the keeper could not be started; nothing is left.
        """
        ...

    async def adopt(self) -> set[str]:
        """Finds the sandboxes that run already and takes them over; returns their ids.

        Remains of sandboxes that do not run are removed.
        """
        ...

    async def wait(self, sandbox: str) -> Exit:
        """Waits until a sandbox is gone with all its processes."""
        ...

    def stop(self, sandbox: str) -> None:
        """Asks a sandbox to end: SIGTERM, and SIGKILL after its grace. No error where it is gone."""
        ...

    def kill(self, sandbox: str) -> None:
        """Ends a sandbox at once. No error where it is gone."""
        ...

    def state(self, sandbox: str) -> KeeperState | None:
        """What the keeper wrote last; None before its first word and after `forget`."""
        ...

    async def forget(self, sandbox: str) -> None:
        """Removes the remains of a sandbox that is gone."""
        ...

    def close(self) -> None:
        """Stops watching; the sandboxes run on."""
        ...
