"""The real launcher: `jsandbox serve` forks one keeper process per sandbox.

Read first: docs/protocols.md, sections 1 and 8. Keepers outlive this process and the launcher process; whoever comes
later adopts them by the files in the run directory.
"""

import asyncio
import logging
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

from junctiond.dataplane.protocol import ProtocolError
from junctiond.sandbox import keepers
from junctiond.sandbox.base import Exit, KeeperState, LaunchError, Status
from junctiond.sandbox.keepers import WatchedKeeper
from junctiond.sandbox.remains import remove_cgroups, unmount_below
from junctiond.sandbox.service import Ended, LaunchService
from junctiond.sandbox.spec import SandboxSpec

logger = logging.getLogger(__name__)

COMPLAINTS_FILE = "launcher.log"
"""Beside the run folders: what the launcher and all keepers say on standard error."""


@dataclass(slots=True)
class _Running:
    """A sandbox whose end is awaited."""

    keeper: WatchedKeeper | None = None
    """None: the launcher process watches it for us."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    state: KeeperState | None = None
    """What was left of it when it was gone."""
    clean: bool = False
    """Nothing of it is left."""


class ProcessLauncher:
    """`Launcher` over `jsandbox serve`."""

    def __init__(self, binary: Path, sandboxes_dir: Path, cgroup_parent: str) -> None:
        self._binary = binary
        self._root = sandboxes_dir
        self._cgroup_parent = cgroup_parent
        self._running: dict[str, _Running] = {}
        self._service: LaunchService | None = None
        self._starting = asyncio.Lock()

    async def launch(self, spec: SandboxSpec) -> None:
        """See `Launcher`."""
        # Found before a launcher process is asked for: it makes the folder of a sandbox, and never twice.
        if spec.id in self._running:
            raise LaunchError(f"sandbox {spec.id} exists already")
        try:
            service = self._service or await self._start()
            self._running[spec.id] = _Running()
            service.ask("launch", spec=spec)
        except (OSError, ProtocolError) as error:
            self._running.pop(spec.id, None)
            raise LaunchError(f"cannot start {self._binary.name}: {error}") from error

    async def adopt(self) -> set[str]:
        """See `Launcher`."""
        if not self._root.is_dir():
            return set()
        for folder in sorted(self._root.iterdir()):
            if folder.name in self._running:
                continue
            self._running[folder.name] = running = _Running()
            self._watch(folder.name, running)
            if running.gone.is_set():
                await self.forget(folder.name)
        return set(self._running)

    async def wait(self, sandbox: str) -> Exit:
        """See `Launcher`."""
        running = self._running.get(sandbox)
        if running is None:
            return describe(self.state(sandbox))
        await running.gone.wait()
        return describe(running.state)

    def stop(self, sandbox: str) -> None:
        """See `Launcher`."""
        self._signal(sandbox, "stop", signal.SIGTERM)

    def kill(self, sandbox: str) -> None:
        """See `Launcher`."""
        self._signal(sandbox, "kill", signal.SIGKILL)

    def state(self, sandbox: str) -> KeeperState | None:
        """See `Launcher`."""
        running = self._running.get(sandbox)
        if running is not None and running.state is not None:
            return running.state
        return keepers.read_state(self._root / sandbox)

    async def forget(self, sandbox: str) -> None:
        """See `Launcher`."""
        running = self._running.get(sandbox)
        if running is None or not running.clean:
            # After a SIGKILL of the keeper its cgroup may be left; nothing may be deleted through a mount.
            await asyncio.to_thread(self._clean, sandbox, self._root / sandbox)
        self._running.pop(sandbox, None)

    def close(self) -> None:
        """See `Launcher`."""
        if self._service is not None:
            self._service.close()
            self._service = None
        for running in self._running.values():
            if running.keeper is not None:
                running.keeper.close()
        self._running.clear()

    # The launcher process.

    async def _start(self) -> LaunchService:
        async with self._starting:
            if self._service is None:
                self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
                service = LaunchService(self._ended, self._lost)
                log = self._root.parent / COMPLAINTS_FILE
                await service.start(self._binary, self._root, self._cgroup_parent, log)
                self._service = service
            return self._service

    def _ended(self, event: Ended) -> None:
        running = self._running.get(event.sandbox)
        if running is not None:
            running.state, running.clean = event.state, event.clean
            running.gone.set()

    def _lost(self) -> None:
        """The launcher process died: its keepers live, and are watched from here."""
        logger.error("launcher died", extra={"fields": {"sandboxes": len(self._running)}})
        self._service = None
        for sandbox, running in self._running.items():
            if running.keeper is None and not running.gone.is_set():
                self._watch(sandbox, running)

    # Keepers that no launcher process watches.

    def _watch(self, sandbox: str, running: _Running) -> None:
        """Watches a keeper by its pid; it may be gone already."""
        pid = keepers.living_keeper(self._root / sandbox)
        try:
            if pid is not None:
                running.keeper = WatchedKeeper(pid, lambda: self._gone(sandbox, running))
                return
        except ProcessLookupError:
            pass
        self._gone(sandbox, running)

    def _gone(self, sandbox: str, running: _Running) -> None:
        running.state = self.state(sandbox)
        running.gone.set()

    def _signal(self, sandbox: str, op: str, number: signal.Signals) -> None:
        running = self._running.get(sandbox)
        if running is None or running.gone.is_set():
            return
        if running.keeper is not None:
            running.keeper.signal(number)
        elif self._service is not None:
            self._service.ask(op, sandbox=sandbox)

    def _clean(self, sandbox: str, folder: Path) -> None:
        remove_cgroups(self._cgroup_parent, sandbox)
        if unmount_below(folder):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            logger.error("mounts are left", extra={"fields": {"folder": str(folder)}})


def describe(state: KeeperState | None) -> Exit:
    """One sentence on how a sandbox ended."""
    if state is None:
        return Exit("the sandbox could not be built: its keeper ended at once", failed=True)
    if state.status is Status.FAILED:
        return Exit(state.error or "the program could not be started", failed=True)
    if state.status in (Status.BUILDING, Status.RUNNING):
        return Exit("the sandbox was killed together with its keeper")
    if state.oom_killed and state.exit_code != 0:
        return Exit("the function ran out of memory (limits.memory) and was killed")
    if state.signal is not None:
        return Exit(f"the function was killed by signal {_signal_name(state.signal)}")
    return Exit(f"the function exited with status {state.exit_code}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
