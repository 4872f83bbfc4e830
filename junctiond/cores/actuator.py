"""Moves the threads of a sandbox: its cpuset where it has one of its own, and every thread's affinity.

A cpuset (v1, or v2 with the controller delegated) takes hold of all threads at once and the guest cannot leave it. An
affinity must be set thread by thread (`sched_setaffinity(2)`); new threads inherit it from the one that starts them, so
going over the list until it holds nobody new leaves no one behind.
"""

import errno
import os
from pathlib import Path

from junctiond.cores.layout import show_cores
from junctiond.sandbox.remains import cgroup_folders

PASSES_MAX = 16
"""A guest that starts threads faster than this many looks keep up with is looked at again next time."""


class AffinityActuator:
    """`Actuator` of this host. Blocks for some microseconds per thread."""

    def __init__(self, cgroup_parent: str) -> None:
        self._parent = cgroup_parent

    def place(self, sandbox: str, cores: tuple[int, ...]) -> str:
        """See `Actuator`."""
        folders = [one for one in cgroup_folders(self._parent, sandbox) if one.is_dir()]
        refused = _fill_cpuset(folders, cores)
        return refused or _set_threads(folders, frozenset(cores))


def threads(folders: list[Path]) -> set[int]:
    """The threads of a sandbox's control groups; `tasks` in version 1, `cgroup.threads` in version 2."""
    for folder in folders:
        for name in ("cgroup.threads", "tasks"):
            try:
                return {int(line) for line in (folder / name).read_text().split()}
            except (OSError, ValueError):
                continue
    return set()


def _fill_cpuset(folders: list[Path], cores: tuple[int, ...]) -> str:
    for folder in folders:
        file = folder / "cpuset.cpus"
        try:
            # Not created where it is missing: a control file is there or it is not.
            handle = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            os.write(handle, show_cores(cores).encode())
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                return _refusal(cores, error)
        finally:
            os.close(handle)
    return ""


def _set_threads(folders: list[Path], cores: frozenset[int]) -> str:
    done: set[int] = set()
    for _ in range(PASSES_MAX):
        new = threads(folders) - done
        if not new:
            return ""
        for thread in new:
            try:
                if os.sched_getaffinity(thread) != cores:
                    os.sched_setaffinity(thread, cores)
            except ProcessLookupError:
                pass  # it ended meanwhile
            except (OSError, ValueError) as error:
                return _refusal(tuple(cores), error)
        done |= new
    return "it starts threads faster than they can be moved; moved again at the next look"


def _refusal(cores: tuple[int, ...], error: Exception) -> str:
    cause = error.strerror if isinstance(error, OSError) else str(error)
    return (
        f"cores {show_cores(cores)} are refused: {cause}; "
        "compare the cpuset of the daemon (AllowedCPUs) with the cores it was started with"
    )
