"""`junctiond down`: ends the daemon, the data plane and every sandbox of one run directory.

The processes are found by who listens on their sockets and by the keepers' state files, never by name: another
installation on the same machine, with its own run directory, is not touched.
"""

import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from junctiond.sandbox import keepers
from junctiond.sandbox.base import Status
from junctiond.settings import Settings

DAEMON_WAIT_S = 150.0
"""Drain (60 s) and grace (30 s) of the functions, and a margin."""
LEFTOVER_WAIT_S = 40.0
KILL_WAIT_S = 5.0
LIVE = frozenset({Status.BUILDING, Status.RUNNING})

Say = Callable[[str], None]


def down(settings: Settings, say: Say) -> bool:
    """Stops everything, the daemon first, so that it does not start again what ends; returns whether anything ran.

    Args:
        settings: whose run directory names the installation.
        say: gets a line about each step.
    """
    daemon = listener_pid(settings.host_socket)
    if daemon is not None:
        say(f"stopping the daemon (pid {daemon}); functions finish what they are at")
        end([daemon], DAEMON_WAIT_S)
    leftovers = keeper_pids(settings.sandboxes_dir)
    plane = listener_pid(settings.control_socket)
    if leftovers:
        say(f"stopping {len(leftovers)} sandboxes")
        end(leftovers, LEFTOVER_WAIT_S)
    if plane is not None:
        say(f"stopping the data plane (pid {plane})")
        end([plane], LEFTOVER_WAIT_S)
    return bool(daemon or leftovers or plane)


def listener_pid(path: Path) -> int | None:
    """The process that listens on a Unix socket; None where nobody does (unix(7), SO_PEERCRED)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
            raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
    pid: int = struct.unpack("3i", raw)[0]
    return pid if pid > 0 else None


def keeper_pids(sandboxes_dir: Path, pattern: str = "*") -> list[int]:
    """Live keepers of the sandboxes whose id matches; a reused pid of another program is not among them."""
    found = []
    for path in sorted(sandboxes_dir.glob(f"{pattern}/state.json")):
        state = keepers.read_state(path.parent)
        pid = keepers.living_keeper(path.parent)
        if pid is not None and state is not None and state.status in LIVE:
            found.append(pid)
    return found


def end(pids: list[int], wait_s: float) -> None:
    """Sends SIGTERM and waits; who has not ended by then is killed."""
    handles: dict[int, int] = {}
    for pid in pids:
        try:
            handles[os.pidfd_open(pid)] = pid
        except ProcessLookupError:
            continue
    try:
        _signal(handles, signal.SIGTERM)
        left = _wait(handles, wait_s)
        _signal(left, signal.SIGKILL)
        _wait(left, KILL_WAIT_S)
    finally:
        for handle in handles:
            os.close(handle)


def _signal(handles: Iterable[int], number: signal.Signals) -> None:
    for handle in handles:
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            continue


def _wait(handles: Iterable[int], wait_s: float) -> set[int]:
    """Waits until the processes have ended; returns the handles of those that have not.

    A pidfd becomes readable when its process ends (pidfd_open(2)).
    """
    left = set(handles)
    deadline_ns = time.monotonic_ns() + int(wait_s * 1e9)
    while left:
        wait_ns = max(0, deadline_ns - time.monotonic_ns())
        ready, _, _ = select.select(left, [], [], wait_ns / 1e9)
        left.difference_update(ready)
        if not ready:
            break
    return left
