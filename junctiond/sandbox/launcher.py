"""The real launcher: one `jsandbox` keeper process per sandbox, watched by pidfd.

Read first: docs/protocols.md, section 1. Keepers run in their own session with their own files, so they outlive this
process; a later launcher adopts them by the files in the run directory. A pid is trusted only together with its start
time, for pids are reused.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from junctiond.sandbox.base import Exit, KeeperState, LaunchError, Status
from junctiond.sandbox.remains import remove_cgroups, unmount_below
from junctiond.sandbox.spec import SandboxSpec

T = TypeVar("T")

logger = logging.getLogger(__name__)

SPEC_FILE = "spec.json"
STATE_FILE = "state.json"
KEEPER_FILE = "keeper.json"
KEEPER_LOG = "keeper.log"


class _Keeper(msgspec.Struct, frozen=True):
    """Which process keeps a sandbox: written by the launcher, read when a later one adopts."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: ticks since boot, which no change of the clock moves."""


@dataclass(slots=True)
class _Running:
    """A keeper that is watched."""

    pidfd: int
    child: subprocess.Popen[bytes] | None
    """None: adopted, so another process reaps it."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class ProcessLauncher:
    """`Launcher` over `jsandbox run --spec FILE`."""

    def __init__(self, binary: Path, sandboxes_dir: Path, cgroup_parent: str) -> None:
        self._binary = binary
        self._root = sandboxes_dir
        self._cgroup_parent = cgroup_parent
        self._running: dict[str, _Running] = {}

    async def launch(self, spec: SandboxSpec) -> None:
        """See `Launcher`."""
        folder = self._root / spec.id
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(mode=0o700)
            Path(spec.log.path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            spec_file = folder / SPEC_FILE
            _write_private(spec_file, msgspec.json.encode(spec))
            child = self._spawn(folder, spec_file)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise LaunchError(f"cannot start {self._binary.name}: {error}") from error
        self._watch(spec.id, child.pid, child)
        start_ticks = _start_ticks(child.pid)
        if start_ticks is not None:
            keeper = _Keeper(child.pid, start_ticks)
            _write_private(folder / KEEPER_FILE, msgspec.json.encode(keeper))

    async def adopt(self) -> set[str]:
        """See `Launcher`."""
        if not self._root.is_dir():
            return set()
        for folder in sorted(self._root.iterdir()):
            if folder.name in self._running:
                continue
            pid = self._living_keeper(folder)
            if pid is None or not self._watch(folder.name, pid, None):
                await self.forget(folder.name)
        return set(self._running)

    async def wait(self, sandbox: str) -> Exit:
        """See `Launcher`."""
        running = self._running.get(sandbox)
        if running is not None:
            await running.gone.wait()
        state = self.state(sandbox)
        return describe(state, self._last_words(sandbox))

    def stop(self, sandbox: str) -> None:
        """See `Launcher`."""
        self._signal(sandbox, signal.SIGTERM)

    def kill(self, sandbox: str) -> None:
        """See `Launcher`."""
        self._signal(sandbox, signal.SIGKILL)

    def state(self, sandbox: str) -> KeeperState | None:
        """See `Launcher`."""
        return _read(self._root / sandbox / STATE_FILE, KeeperState)

    async def forget(self, sandbox: str) -> None:
        """See `Launcher`."""
        folder = self._root / sandbox
        # After a SIGKILL of the keeper its mounts and cgroup may be left; nothing may be deleted through a mount.
        await asyncio.to_thread(self._clean, sandbox, folder)
        self._running.pop(sandbox, None)

    def close(self) -> None:
        """Stops watching; the sandboxes run on."""
        for running in self._running.values():
            self._unwatch(running)
            if running.child is not None:
                # Given away on purpose: init reaps it. Otherwise Popen warns about a child that still runs.
                running.child.returncode = 0
        self._running.clear()

    def _clean(self, sandbox: str, folder: Path) -> None:
        remove_cgroups(self._cgroup_parent, sandbox)
        if unmount_below(folder):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            logger.error("mounts are left", extra={"fields": {"folder": str(folder)}})

    def _spawn(self, folder: Path, spec_file: Path) -> subprocess.Popen[bytes]:
        with (folder / KEEPER_LOG).open("ab") as log:
            # Not asyncio's subprocess: its transports end the child together with the loop.
            return subprocess.Popen(
                [self._binary, "run", "--spec", spec_file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={"PATH": os.defpath},
            )

    def _watch(self, sandbox: str, pid: int, child: subprocess.Popen[bytes] | None) -> bool:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        running = _Running(pidfd, child)
        self._running[sandbox] = running
        asyncio.get_running_loop().add_reader(pidfd, self._gone, running)
        return True

    def _gone(self, running: _Running) -> None:
        if running.child is not None:
            running.child.poll()
        self._unwatch(running)
        running.gone.set()

    def _unwatch(self, running: _Running) -> None:
        if running.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(running.pidfd)
            os.close(running.pidfd)
            running.pidfd = -1

    def _signal(self, sandbox: str, number: signal.Signals) -> None:
        running = self._running.get(sandbox)
        if running is not None and running.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(running.pidfd, number)

    def _living_keeper(self, folder: Path) -> int | None:
        """The keeper's pid, if that very process still runs."""
        keeper = _read(folder / KEEPER_FILE, _Keeper)
        state = self.state(folder.name)
        pid = keeper.pid if keeper else (state.keeper_pid if state else 0)
        if pid <= 0:
            return None
        start_ticks = _start_ticks(pid)
        if start_ticks is None:
            return None
        # Without a note the daemon died between starting the keeper and writing it: the spec's path is as unique.
        same = start_ticks == keeper.start_ticks if keeper else self._keeps(pid, folder)
        return pid if same else None

    def _keeps(self, pid: int, folder: Path) -> bool:
        with contextlib.suppress(psutil.Error):
            return str(folder / SPEC_FILE) in psutil.Process(pid).cmdline()
        return False

    def _last_words(self, sandbox: str) -> str:
        """The end of what the keeper itself said; it speaks only when it fails."""
        try:
            text = (self._root / sandbox / KEEPER_LOG).read_text(errors="replace")
        except OSError:
            return ""
        lines = text[-2000:].strip().splitlines()
        return lines[-1] if lines else ""


def describe(state: KeeperState | None, last_words: str = "") -> Exit:
    """One sentence on how a sandbox ended."""
    if state is None:
        detail = f": {last_words}" if last_words else ""
        return Exit(f"the sandbox could not be built{detail}", failed=True)
    if state.status is Status.FAILED:
        return Exit(state.error or last_words or "the program could not be started", failed=True)
    if state.status in (Status.BUILDING, Status.RUNNING):
        return Exit("the sandbox was killed together with its keeper")
    if state.oom_killed and state.exit_code != 0:
        return Exit("the function ran out of memory (limits.memory) and was killed")
    if state.signal is not None:
        return Exit(f"the function was killed by signal {_signal_name(state.signal)}")
    return Exit(f"the function exited with status {state.exit_code}")


def _start_ticks(pid: int) -> int | None:
    """When a process started, in ticks since boot; None where it is gone or only waits to be reaped (proc(5))."""
    try:
        # The name in parentheses may hold anything, blanks and parentheses too.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in "ZX" else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _write_private(path: Path, content: bytes) -> None:
    """Specifications hold environment values: nobody but root reads them."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
