"""CPU time and memory of sets of processes, from /proc."""

import time
from collections.abc import Iterable
from pathlib import Path

CPUCLOCK_SCHED = 2
"""Of a process's clocks (include/linux/posix-timers_types.h), the one that counts what the scheduler measured."""
PROC = Path("/proc")


def descendants(roots: Iterable[int]) -> list[int]:
    """The given processes that still live, and all their descendants; one look at /proc, however many there are."""
    parents = _parents()
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: dict[int, None] = {}
    waiting = [root for root in roots if root in parents]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = None
            waiting += children.get(pid, [])
    return list(found)


def _parents() -> dict[int, int]:
    """The parent of every process."""
    parents = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name in parentheses may hold anything (proc(5)); the state and the parent follow its end.
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    return parents


def cpu_ns(pids: Iterable[int]) -> int:
    """CPU time of the processes, user and system, in nanoseconds, those of their threads that have ended included.

    By each process's CPU-time clock (clock_getcpuclockid(3)): the scheduler's own nanoseconds, where /proc/PID/stat
    counts ticks of 10 ms, and /proc/PID/task only has the threads that live. A process that has ended counts 0.
    """
    return sum(_cpu_ns(pid) for pid in pids)


def _cpu_ns(pid: int) -> int:
    clock = (~pid << 3) | CPUCLOCK_SCHED
    try:
        return time.clock_gettime_ns(clock)
    except OSError:
        return 0


def pss_kib(pids: Iterable[int]) -> int:
    """Proportional set size of the processes, in KiB: shared pages count by their share (proc(5), smaps_rollup)."""
    total = 0
    for pid in pids:
        try:
            rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += parse_pss_kib(rollup)
    return total


def parse_pss_kib(rollup: str) -> int:
    """The Pss line of an smaps_rollup; a kernel thread or a zombie has none and counts 0."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
