"""The cores of this host as the platform uses them: how many workers the front door has, and on which cores they sit.

Pure: settings and the set of usable cores in, a `Layout` out. It is decided once, when the daemon starts; what moves
later is the policy's matter (`junctiond.cores.policy`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

CORES_FEW = 2
"""Up to here a request stays on one core (docs/decisions/0005-affinity.md)."""
WORKERS_MAX = 64
_CORES_MAX = 8192


class Mode(StrEnum):
    """What the placement is for."""

    LATENCY = "latency"
    """Answers first: a guest may poll for its next request while a core is idle."""
    BALANCED = "balanced"
    """Park at once; poll only where requests come closer together than a poll lasts and a core is idle."""
    ECO = "eco"
    """Never poll, and use as few cores as will do."""
    OFF = "off"
    """Nothing is pinned and nothing is moved: the kernel decides."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things may run.

    Attributes:
        mode: as the operator chose.
        usable: the cores that the platform was given (affinity and cpuset of the daemon), sorted.
        doors: the core of each worker of the front door; empty: workers are not pinned.
    """

    mode: Mode
    usable: tuple[int, ...]
    doors: tuple[int, ...]

    @property
    def few(self) -> bool:
        """Whether cores are so few that a request should stay on one."""
        return len(self.usable) <= CORES_FEW


def plan(mode: Mode, usable: Iterable[int], workers: int = 0) -> Layout:
    """The layout for a host.

    Args:
        mode: as the operator chose.
        usable: cores that this process may use; at least one.
        workers: threads of the front door as set; 0: one for every two cores, one alone in `eco`.
    """
    cores = tuple(sorted(set(usable)))
    if mode is Mode.OFF or not cores:
        return Layout(mode, cores, ())
    wanted = workers or (1 if mode is Mode.ECO else max(1, len(cores) // 2))
    wanted = min(wanted, WORKERS_MAX)
    return Layout(mode, cores, tuple(cores[number % len(cores)] for number in range(wanted)))


def parse_cores(text: str) -> frozenset[int]:
    """Cores as the kernel writes them (`cpuset(7)`, list format): numbers and ranges, as in `0,2-3`.

    Raises:
        ValueError: it is no such list.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, separator, last = part.strip().partition("-")
        if not (first.isdecimal() and first.isascii() and (not separator or last.isdecimal())):
            raise ValueError(f"{text!r} is no list of cores; write numbers and ranges, as in 0,2-3")
        low, high = int(first), int(last or first)
        if not low <= high < _CORES_MAX:
            raise ValueError(f"{text!r} holds no range from a lower to a higher core number")
        found.update(range(low, high + 1))
    return frozenset(found)


def show_cores(cores: Iterable[int]) -> str:
    """Cores as `parse_cores` reads them, in the shortest form."""
    ranges: list[list[int]] = []
    for core in sorted(set(cores)):
        if ranges and core == ranges[-1][1] + 1:
            ranges[-1][1] = core
        else:
            ranges.append([core, core])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
