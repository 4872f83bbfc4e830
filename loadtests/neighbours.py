"""Who else worked on this machine while a cell was measured.

Waiting for a quiet moment (`loadtests.quiet`) says nothing about the seconds after it. What is found here is noted beside
the figures; it never decides whether a figure counts.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CORES_MAX = 0.1
"""What another process may take on average, of one core."""
LOOK_S = 1.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KERNEL_THREADS = 2
"""The parent of the kernel's own threads (kthreadd), which work for whoever makes them."""
PROC = Path("/proc")


class MachineBusy(Exception):
    """Somebody else uses the machine; the message says who."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment: its start tells it from an earlier one with the same number."""

    name: str
    parent: int
    ticks: int
    started: int


Processes = Mapping[int, Process]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A process that has nothing to do with the measurement, and what it took."""

    pid: int
    name: str
    cores: float

    def __str__(self) -> str:
        return f"{self.name} ({self.pid}) took {self.cores:.2f} cores"


@dataclass(slots=True)
class Watch:
    """What was found when the block ended."""

    found: list[Neighbour] = field(default_factory=list)


@contextmanager
def watching(own: Iterable[int]) -> Iterator[Watch]:
    """Looks at all processes before and after a block; `own` belong to the measurement, and so does all below this process."""
    watch = Watch()
    before, began_ns = now(), time.monotonic_ns()
    yield watch
    elapsed_s = (time.monotonic_ns() - began_ns) / 1e9
    watch.found = busy(before, now(), elapsed_s, {os.getpid(), *own})


def look(seconds: float = LOOK_S) -> list[Neighbour]:
    """Who uses the machine now, before anything is measured."""
    with watching([]) as watch:
        time.sleep(seconds)
    return watch.found


def check(found: list[Neighbour], say: Callable[[str], None], *, strict: bool) -> None:
    """Tells who uses the machine.

    Raises:
        MachineBusy: somebody does, and `strict` asks for a machine of its own.
    """
    if found:
        who = ", ".join(map(str, found))
        if strict:
            raise MachineBusy(f"{who}: end it, or measure without --strict")
        say(f"not alone on this machine: {who}")


def busy(before: Processes, after: Processes, elapsed_s: float, own: set[int]) -> list[Neighbour]:
    """Processes outside the families of `own` that took more than `CORES_MAX`, the busiest first. Pure."""
    found = []
    for pid, process in after.items():
        if process.parent == KERNEL_THREADS or _below(pid, after, own):
            continue
        earlier = before.get(pid)
        same = earlier is not None and earlier.started == process.started
        ticks = process.ticks - (earlier.ticks if earlier is not None and same else 0)
        cores = ticks / TICKS_PER_S / max(elapsed_s, 1e-9)
        if cores > CORES_MAX:
            found.append(Neighbour(pid, process.name, round(cores, 3)))
    return sorted(found, key=lambda one: -one.cores)


def _below(pid: int, processes: Processes, roots: set[int]) -> bool:
    """Whether a process is one of the roots or below one."""
    seen: set[int] = set()
    while pid in processes and pid not in seen:
        if pid in roots:
            return True
        seen.add(pid)
        pid = processes[pid].parent
    return pid in roots


def now() -> dict[int, Process]:
    """All processes of this machine."""
    found = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            found[int(folder.name)] = parse((folder / "stat").read_text(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def parse(stat: str) -> Process:
    """One process's stat file (proc(5)). The name in parentheses may hold anything, so fields count from its end."""
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    # After the name: state 3, ppid 4, ..., utime 14, stime 15, ..., starttime 22, counted from 1 with the pid.
    return Process(
        name=head.partition("(")[2],
        parent=int(fields[1]),
        ticks=int(fields[11]) + int(fields[12]),
        started=int(fields[19]),
    )
