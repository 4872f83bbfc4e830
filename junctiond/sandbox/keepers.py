"""Keepers as processes: which one keeps a sandbox, whether it still runs, when it ends.

A pid is trusted only together with its start time, for pids are reused (proc(5)).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from junctiond.sandbox.base import KeeperState

STATE_FILE = "state.json"


class WatchedKeeper:
    """A keeper that another process reaps; `gone` is called once, when it has ended.

    Raises:
        ProcessLookupError: it has ended already.
    """

    def __init__(self, pid: int, gone: Callable[[], None]) -> None:
        self._pidfd = os.pidfd_open(pid)
        self._gone = gone
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    def signal(self, number: signal.Signals) -> None:
        """Signals it; no error where it is gone."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Stops watching."""
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _ended(self) -> None:
        self.close()
        self._gone()


def read_state(folder: Path) -> KeeperState | None:
    """What the keeper of a run folder wrote last."""
    try:
        with open(f"{folder}/{STATE_FILE}", "rb") as file:  # noqa: PTH123 - one for each line of `ps`
            return msgspec.json.decode(file.read(), type=KeeperState)
    except (OSError, msgspec.MsgspecError):
        return None


def living_keeper(folder: Path) -> int | None:
    """The pid of a run folder's keeper, if that very process still runs."""
    state = read_state(folder)
    if state is None or state.keeper_pid <= 0:
        return None
    start_ticks = _start_ticks(state.keeper_pid)
    if start_ticks is None:
        return None
    if state.keeper_start_ticks is not None:
        return state.keeper_pid if state.keeper_start_ticks == start_ticks else None
    # A keeper of an earlier version: the folder in its command line is as unique.
    with contextlib.suppress(psutil.Error):
        if any(str(folder) in word for word in psutil.Process(state.keeper_pid).cmdline()):
            return state.keeper_pid
    return None


def _start_ticks(pid: int) -> int | None:
    """When a process started, in ticks since boot; None where it is gone or only waits to be reaped."""
    try:
        # The name in parentheses may hold anything, blanks and parentheses too.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in "ZX" else None
