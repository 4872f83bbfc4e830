"""What the policy looks at, from the kernel's counters: /proc/stat, the workers' schedstat, the sandboxes' CPU time.

Files are kept open and read again from their start, which is a third of the cost of opening them: a look at 1,000
sandboxes has to be cheap. Two looks make one `Signals`.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from junctiond.cores.base import Signals
from junctiond.sandbox.remains import cgroup_folders

PROC = Path("/proc")
_READ_BYTES = 65_536
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_WORKER_NAME = "front-"

Key = TypeVar("Key", int, str)


@dataclass(frozen=True, slots=True)
class Look:
    """Counters at one time, in nanoseconds of CPU time."""

    at_ns: int
    busy_ns: Mapping[int, int]
    total_ns: Mapping[int, int]
    workers_ns: Mapping[int, int] = field(default_factory=dict)
    """By core of the worker."""
    sandboxes_ns: Mapping[str, int] = field(default_factory=dict)


def compare(now: Look, before: Look) -> Signals:
    """What happened between two looks. A sandbox that is in one of them alone is left out."""
    span_ns = max(1, now.at_ns - before.at_ns)
    busy = {}
    for core, total_ns in now.total_ns.items():
        elapsed_ns = total_ns - before.total_ns.get(core, total_ns)
        used_ns = now.busy_ns[core] - before.busy_ns.get(core, now.busy_ns[core])
        busy[core] = min(1.0, max(0.0, used_ns / elapsed_ns)) if elapsed_ns > 0 else 0.0
    return Signals(
        busy,
        _shares(now.workers_ns, before.workers_ns, span_ns),
        _shares(now.sandboxes_ns, before.sandboxes_ns, span_ns),
    )


def _shares(now: Mapping[Key, int], before: Mapping[Key, int], span_ns: int) -> dict[Key, float]:
    return {
        key: max(0, value - before[key]) / span_ns for key, value in now.items() if key in before
    }


def parse_stat(text: str, cores: Iterable[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Busy and total time of cores from /proc/stat (proc_stat(5)); what the hypervisor stole is busy, for nobody can use it."""
    wanted = set(cores)
    busy: dict[int, int] = {}
    total: dict[int, int] = {}
    for line in text.splitlines():
        if not line.startswith("cpu"):
            break
        name, *fields = line.split()
        if not name[3:].isdigit() or int(name[3:]) not in wanted:
            continue
        ticks = [int(one) for one in fields[:8]]
        idle = ticks[3] + ticks[4]
        total[int(name[3:])] = sum(ticks) * _TICK_NS
        busy[int(name[3:])] = (sum(ticks) - idle) * _TICK_NS
    return busy, total


class Sampler:
    """Reads the counters of this host."""

    def __init__(self, cores: tuple[int, ...], doors: tuple[int, ...], cgroup_parent: str) -> None:
        self._cores = cores
        self._doors = doors
        self._parent = cgroup_parent
        self._files: dict[str, int] = {}
        self._workers: tuple[int, dict[int, int]] = (0, {})
        """jnetd's pid, and the files of its workers by the worker's number."""

    def look(self, now_ns: int, jnetd: int | None, sandboxes: Iterable[str]) -> Look:
        """The counters now.

        Args:
            now_ns: monotonic time.
            jnetd: its pid, where it is known.
            sandboxes: whose CPU time is wanted too.
        """
        stat = self._read("/proc/stat", PROC / "stat")
        busy, total = parse_stat(stat, self._cores)
        cpu_ns = {}
        for sandbox in sandboxes:
            used_ns = self.cpu_ns(sandbox)
            if used_ns is not None:
                cpu_ns[sandbox] = used_ns
        return Look(now_ns, busy, total, self._worker_times(jnetd), cpu_ns)

    def cpu_ns(self, sandbox: str) -> int | None:
        """CPU time of a sandbox so far; None where it has no control group (any more)."""
        if sandbox in self._files:
            return parse_cpu_ns(self._read(sandbox, Path()))
        for folder in cgroup_folders(self._parent, sandbox):
            for name in ("cpuacct.usage", "cpu.stat"):
                text = self._read(sandbox, folder / name)
                # Version 1's cpu.stat counts throttling alone.
                if name == "cpuacct.usage" or "usage_usec" in text:
                    used_ns = parse_cpu_ns(text)
                    if used_ns is not None:
                        return used_ns
                self._drop(sandbox)
        return None

    def forget(self, sandbox: str) -> None:
        """Closes what was open for a sandbox."""
        self._drop(sandbox)

    def close(self) -> None:
        """Closes everything."""
        for key in list(self._files):
            self._drop(key)
        self._drop_workers()

    def _worker_times(self, jnetd: int | None) -> dict[int, int]:
        if jnetd is None:
            return {}
        # Also again where some were missing: a jnetd that has just started may not have named its threads.
        if self._workers[0] != jnetd or len(self._workers[1]) < len(self._doors):
            self._drop_workers()
            self._workers = (jnetd, _open_workers(jnetd))
        times: dict[int, int] = {}
        for number, handle in self._workers[1].items():
            if number >= len(self._doors):
                continue
            try:
                text = os.pread(handle, _READ_BYTES, 0).decode()
                run_ns = int(text.split()[0])
            except (OSError, ValueError, IndexError):
                continue
            core = self._doors[number]
            times[core] = times.get(core, 0) + run_ns
        return times

    def _read(self, key: str, path: Path) -> str:
        handle = self._files.get(key)
        try:
            if handle is None:
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self._files[key] = handle
            return os.pread(handle, _READ_BYTES, 0).decode()
        except OSError:  # the group is gone, perhaps between the two calls (ENODEV)
            self._drop(key)
            return ""

    def _drop(self, key: str) -> None:
        handle = self._files.pop(key, None)
        if handle is not None:
            os.close(handle)

    def _drop_workers(self) -> None:
        for handle in self._workers[1].values():
            os.close(handle)
        self._workers = (0, {})


def parse_cpu_ns(text: str) -> int | None:
    """CPU time from `cpuacct.usage` (version 1) or `cpu.stat` (version 2); None where it is neither."""
    if text.startswith("usage_usec "):
        return int(text.split(None, 2)[1]) * 1000
    stripped = text.strip()
    return int(stripped) if stripped.isdigit() else None


def _open_workers(jnetd: int) -> dict[int, int]:
    """Files of the front door's threads by their number, found by their names."""
    found: dict[int, int] = {}
    for task in (PROC / str(jnetd) / "task").glob("*"):
        with contextlib.suppress(OSError, ValueError):
            name = (task / "comm").read_text().strip()
            if name.startswith(_WORKER_NAME):
                number = int(name.removeprefix(_WORKER_NAME))
                found[number] = os.open(task / "schedstat", os.O_RDONLY | os.O_CLOEXEC)
    return found
