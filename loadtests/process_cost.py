"""CPU time and memory of sets of processes, from /proc."""

from collections.abc import Iterable
from pathlib import Path

import psutil

PROC = Path("/proc")


def descendants(roots: Iterable[int]) -> list[int]:
    """The given processes that still live, and all their descendants."""
    pids: dict[int, None] = {}
    for root in roots:
        try:
            process = psutil.Process(root)
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        pids.update(dict.fromkeys(member.pid for member in family))
    return list(pids)


def cpu_ns(pids: Iterable[int]) -> int:
    """CPU time of all threads of the processes, user and system, in nanoseconds.

    From schedstat (Documentation/scheduler/sched-stats.rst): the scheduler's own nanoseconds, where
    /proc/PID/stat counts ticks of 10 ms. Threads that have ended are not in it.
    """
    return sum(_run_ns(path) for pid in pids for path in PROC.glob(f"{pid}/task/*/schedstat"))


def _run_ns(schedstat: Path) -> int:
    try:
        return int(schedstat.read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
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
