"""The parts of `junctiond stats` that show how the host works: places, sockets and rings, front-door threads."""

from collections.abc import Sequence

import msgspec
from rich.table import Table

from junctiond.cores.layout import show_cores
from junctiond.dataplane.statistics import SandboxCounters, WorkerCounters
from junctiond.domain import Sandbox, SnapshotCounts


class PlaceRow(msgspec.Struct, frozen=True):
    """Where a sandbox runs and why. docs/metrics.md defines the columns."""

    sandbox: str
    seat: str
    cores: list[int]
    reason: str
    moves: int
    spin_us: int
    cpu_s: float


class WorkerRow(msgspec.Struct, frozen=True):
    """One front-door thread. Shares are of the time between two readings, or since it started."""

    worker: int
    cores: list[int]
    connections: int
    requests: int
    wakeups: int
    events: int
    bells: int
    wakeups_per_request: float | None
    run_s: float
    wait_s: float
    park_s: float
    run_share: float | None
    wait_share: float | None


def place_rows(sandboxes: Sequence[Sandbox]) -> list[PlaceRow]:
    """The places of all sandboxes that have one."""
    return [
        PlaceRow(
            sandbox=one.id,
            seat=one.place.seat,
            cores=list(one.place.cores),
            reason=one.place.reason,
            moves=one.place.moves,
            spin_us=one.place.spin_us,
            cpu_s=(one.usage.cpu_ns if one.usage else 0) / 1e9,
        )
        for one in sandboxes
        if one.place.seat
    ]


def worker_rows(now: Sequence[WorkerCounters], before: Sequence[WorkerCounters]) -> list[WorkerRow]:
    """The front door's threads, with what they did since `before` where that is the same jnetd's."""
    rows = []
    for number, one in enumerate(now):
        earlier = before[number] if number < len(before) else WorkerCounters()
        if earlier.thread != one.thread or earlier.requests > one.requests:
            earlier = WorkerCounters()
        run_ns, wait_ns = one.run_ns - earlier.run_ns, one.wait_ns - earlier.wait_ns
        age_ns = run_ns + wait_ns + one.park_ns - earlier.park_ns
        requests = one.requests - earlier.requests
        rows.append(
            WorkerRow(
                worker=number,
                cores=one.cores,
                connections=one.connections,
                requests=one.requests,
                wakeups=one.wakeups,
                events=one.events,
                bells=one.bells,
                wakeups_per_request=(one.wakeups - earlier.wakeups) / requests
                if requests
                else None,
                run_s=one.run_ns / 1e9,
                wait_s=one.wait_ns / 1e9,
                park_s=one.park_ns / 1e9,
                run_share=run_ns / age_ns if age_ns > 0 else None,
                wait_share=wait_ns / age_ns if age_ns > 0 else None,
            )
        )
    return rows


def places(placement: str, cores: Sequence[int], rows: Sequence[PlaceRow]) -> Table:
    """Where each sandbox runs."""
    title = f"placement {placement or 'unknown'}, cores {show_cores(cores) or 'unknown'}"
    table = _table(title, "SANDBOX", "SEAT", "CORES", "WHY", right=("MOVES", "SPIN", "CPU TIME"))
    for row in rows:
        table.add_row(
            row.sandbox,
            row.seat,
            show_cores(row.cores) or "any",
            row.reason,
            str(row.moves),
            f"{row.spin_us} µs" if row.spin_us else "-",
            f"{row.cpu_s:.2f} s",
        )
    return table


def snapshots(counts: SnapshotCounts) -> Table:
    """What became of snapshots since the daemon started."""
    names = ("taken", "refused", "restored", "fallbacks")
    table = _table("snapshots", right=tuple(name.upper() for name in names))
    table.add_row(*(f"{getattr(counts, name):,}" for name in names))
    return table


def sockets(rows: Sequence[SandboxCounters]) -> Table:
    """What happened at the sockets and rings of each sandbox."""
    names = [name for name in SandboxCounters.__struct_fields__ if name != "sandbox"]
    headers = tuple(name.replace("_", " ").upper() for name in names)
    table = _table("sockets and rings of each sandbox", "SANDBOX", right=headers)
    for row in rows:
        table.add_row(row.sandbox, *(f"{getattr(row, name):,}" for name in names))
    return table


def workers(rows: Sequence[WorkerRow]) -> Table:
    """What the front door's threads did and how they spent their time."""
    table = _table(
        "front door, per thread",
        "WORKER",
        "CORES",
        right=(
            *("CONNECTIONS", "REQUESTS", "WAKEUPS", "EVENTS", "BELLS", "WAKEUPS/REQUEST"),
            *("RUN", "WAIT", "PARK", "RUN SHARE", "WAIT SHARE"),
        ),
    )
    for row in rows:
        table.add_row(
            str(row.worker),
            show_cores(row.cores) or "any",
            *(f"{one:,}" for one in (row.connections, row.requests, row.wakeups, row.events)),
            f"{row.bells:,}",
            "-" if row.wakeups_per_request is None else f"{row.wakeups_per_request:.2f}",
            *(f"{one:.1f} s" for one in (row.run_s, row.wait_s, row.park_s)),
            *("-" if one is None else f"{one:.1%}" for one in (row.run_share, row.wait_share)),
        )
    return table


def _table(title: str, *left: str, right: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, title=title, title_justify="left")
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right")
    return table
