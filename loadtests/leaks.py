"""What a host holds: processes, descriptors, mounts, control groups, folders, rows of state, memory."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from loadtests import process_cost
from loadtests.instance import Instance

SETTLE_WAIT_S = 20.0
STILL_S = 1.0
SAMPLES = 5
UNIX_SOCKETS = Path("/proc/net/unix")
CONNECTED = "03"
TABLES = ("namespaces", "functions", "leases")
"""Of the state database; its counters only count."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is there at one moment.

    Attributes:
        processes: of the host: daemon, provider, front door, keepers and all in sandboxes.
        descriptors: open in daemon, provider and front door, but for the connections between these two that wait to be used
            again: there are as many as ever were needed at once. A namespace that outlives its processes is one of these,
            or a mount.
        threads: of the same.
        mounts: that the daemon sees below the host's folders.
        cgroups: below the host's parent, of all hierarchies.
        sandboxes: folders in the run directory.
        rows: of the state database.
        memory_mib: proportional set size of daemon, provider, front door and keepers.
    """

    processes: int
    descriptors: int
    threads: int
    mounts: int
    cgroups: int
    sandboxes: int
    rows: int
    memory_mib: float

    @classmethod
    def of(cls, host: Instance) -> "Counts":
        """Counts now."""
        settings = host.settings
        roles = host.platform()
        serving = [*roles["control"], *roles["front door"]]
        mounts = Path(f"/proc/{host.daemon_pid}/mountinfo").read_text().splitlines()
        folders = (str(settings.state_dir), str(settings.run_dir))
        cgroups = Path("/sys/fs/cgroup")
        return cls(
            processes=sum(len(pids) for pids in roles.values()),
            descriptors=sum(_entries(pid, "fd") for pid in serving)
            - 2 * connections(UNIX_SOCKETS.read_text(), str(settings.provider_socket)),
            threads=sum(_entries(pid, "task") for pid in serving),
            mounts=sum(any(folder in line for folder in folders) for line in mounts),
            cgroups=sum(
                1
                for top in (
                    cgroups / settings.cgroup_parent,
                    *cgroups.glob(f"*/{settings.cgroup_parent}"),
                )
                for _ in top.glob("**/")
            ),
            sandboxes=len(list(settings.sandboxes_dir.glob("*"))),
            rows=_rows(settings.database),
            memory_mib=process_cost.pss_kib([*serving, *roles["keepers"]]) / 1024,
        )


def connections(table: str, path: str) -> int:
    """Connections that a Unix socket has accepted, by `/proc/net/unix` (unix(7)); each is a descriptor at either end."""
    lines = (line.split(maxsplit=7) for line in table.splitlines())
    return sum(len(line) == 8 and line[5] == CONNECTED and line[7] == path for line in lines)


def growth(before: Counts, after: Counts) -> dict[str, int]:
    """What there is more of than before, but for memory, which never is exactly the same."""
    earlier, later = asdict(before), asdict(after)
    return {
        name: later[name] - earlier[name]
        for name in earlier
        if name != "memory_mib" and later[name] > earlier[name]
    }


def least(samples: Sequence[Counts]) -> Counts:
    """The least of each: what is held all the time, without files that somebody is just reading."""
    return Counts(*(min(values) for values in zip(*map(astuple, samples), strict=True)))


def settled(host: Instance) -> Counts:
    """What is held once that has stood still for a second, or after 20 s what then is."""
    deadline_ns = time.monotonic_ns() + int(SETTLE_WAIT_S * 1e9)
    last = _held(host)
    while True:
        now = _held(host)
        same = not growth(last, now) and not growth(now, last)
        if same or time.monotonic_ns() > deadline_ns:
            return now
        last = now


def _held(host: Instance) -> Counts:
    samples = []
    for _ in range(SAMPLES):
        time.sleep(STILL_S / SAMPLES)
        samples.append(Counts.of(host))
    return least(samples)


def _entries(pid: int, folder: str) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/{folder}").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _rows(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return sum(
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES
        )
