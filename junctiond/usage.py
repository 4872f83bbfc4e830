"""What a sandbox uses now: memory and CPU of its control groups, version 1 and 2 (cgroups(7))."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from junctiond.domain import Usage
from junctiond.sandbox.remains import cgroup_folders

Owner = tuple[str, str]
"""Namespace and name of a function."""


FILE_BYTES_MAX = 16_384
"""More than any file of a control group that is read here."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int
    cpu_ns: int


class UsageMeter:
    """Measures sandboxes. CPU is the mean since the previous measurement of the same sandbox."""

    def __init__(self, cgroup_parent: str) -> None:
        self._parent = cgroup_parent
        self._samples: dict[str, _Sample] = {}
        self._past_ns: dict[Owner, int] = {}
        self._cpu_at = 0
        self._memory_at = 0
        """Which hierarchy answered last: one look-up instead of twenty, for hundreds of sandboxes."""

    def begin(self, sandbox: str) -> None:
        """A sandbox starts now, so that its first measurement is the mean since here."""
        self._samples[sandbox] = _Sample(time.monotonic_ns(), 0)

    def note(self, sandbox: str) -> None:
        """Remembers the CPU time of a sandbox that is about to be killed together with its keeper."""
        self._sample(sandbox, self._cpu_ns(cgroup_folders(self._parent, sandbox)))

    def settle(self, sandbox: str, cpu_ns: int) -> None:
        """The CPU time of a sandbox that has ended, as its keeper read it last."""
        self._sample(sandbox, cpu_ns)

    def measure(self, sandbox: str) -> Usage:
        """Present usage; zero for what the host does not count."""
        folders = cgroup_folders(self._parent, sandbox)
        millicores, cpu_ns = self._sample(sandbox, self._cpu_ns(folders))
        return Usage(millicores, self._memory_bytes(folders), cpu_ns)

    def _cpu_ns(self, folders: list[Path]) -> int:
        for at in _beginning_with(self._cpu_at, len(folders)):
            cpu_ns = _cpu_ns(folders[at])
            if cpu_ns is not None:
                self._cpu_at = at
                return cpu_ns
        return 0

    def _memory_bytes(self, folders: list[Path]) -> int:
        for at in _beginning_with(self._memory_at, len(folders)):
            memory_bytes = _memory_bytes(folders[at])
            if memory_bytes is not None:
                self._memory_at = at
                return memory_bytes
        return 0

    def _sample(self, sandbox: str, cpu_ns: int) -> tuple[float, int]:
        now_ns = time.monotonic_ns()
        before = self._samples.get(sandbox)
        if before is not None:
            cpu_ns = max(cpu_ns, before.cpu_ns)  # the group may be gone; a counter never falls
        self._samples[sandbox] = _Sample(now_ns, cpu_ns)
        millicores = 0.0
        if before is not None and now_ns > before.at_ns:
            millicores = 1000.0 * max(0, cpu_ns - before.cpu_ns) / (now_ns - before.at_ns)
        return millicores, cpu_ns

    def retire(self, sandbox: str, owner: Owner) -> None:
        """A sandbox is gone; what it was last seen to have used stays with its function."""
        sample = self._samples.pop(sandbox, None)
        if sample is not None:
            self._past_ns[owner] = self._past_ns.get(owner, 0) + sample.cpu_ns

    def past_ns(self, owner: Owner) -> int:
        """CPU time of a function's sandboxes that are gone, since the daemon started."""
        return self._past_ns.get(owner, 0)

    def forget_owner(self, owner: Owner) -> None:
        """A function is deleted; one of the same name begins at zero."""
        self._past_ns.pop(owner, None)


def _beginning_with(first: int, count: int) -> Iterator[int]:
    """The numbers below `count`, `first` first."""
    if first < count:
        yield first
    yield from (at for at in range(count) if at != first)


def _cpu_ns(folder: Path) -> int | None:
    usage_ns = _number(f"{folder}/cpuacct.usage")
    if usage_ns is not None:
        return usage_ns
    usage_us = _field(f"{folder}/cpu.stat", "usage_usec")
    return None if usage_us is None else usage_us * 1000


def _memory_bytes(folder: Path) -> int | None:
    """Memory less the page cache that can be dropped, as `kubectl top` counts it."""
    for total, inactive in (
        ("memory.usage_in_bytes", "total_inactive_file"),
        ("memory.current", "inactive_file"),
    ):
        used = _number(f"{folder}/{total}")
        if used is not None:
            return max(0, used - (_field(f"{folder}/memory.stat", inactive) or 0))
    return None


def _text(path: str) -> str | None:
    """A file of the kernel's; without the objects of pathlib and io, for hundreds are read at once."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(handle, FILE_BYTES_MAX).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(handle)


def _number(path: str) -> int | None:
    text = (_text(path) or "").strip()
    return int(text) if text.isdigit() else None


def _field(path: str, name: str) -> int | None:
    for line in (_text(path) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return None
