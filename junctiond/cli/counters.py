"""`junctiond stats`: the data plane's counters per function, joined with what the host knows of the sandboxes."""

from collections.abc import Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table

from junctiond.cli import shown, workings
from junctiond.cli.histogram import difference, quantile_s
from junctiond.cli.workings import PlaceRow, WorkerRow
from junctiond.dataplane.statistics import (
    FunctionCounters,
    SandboxCounters,
    Statistics,
    parse_statistics,
)
from junctiond.domain import HostStats, Sandbox, SandboxState, SnapshotCounts


class Row(msgspec.Struct, frozen=True):
    """What is shown of one function. docs/metrics.md defines the columns."""

    name: str
    namespace: str
    invocations: int
    codes: dict[str, int]
    in_flight: int
    queued: int
    rejected: int
    latency_s_p50: float | None
    latency_s_p99: float | None
    replicas: int
    cpu_millicores: float
    cpu_s: float | None
    cpu_ms_per_invocation: float | None
    memory_bytes: int


class View(msgspec.Struct, frozen=True):
    """One reading, ready to be shown or printed as JSON."""

    taken_at_ns: int
    functions: list[Row]
    sandboxes: list[SandboxCounters]
    workers: list[WorkerRow]
    places: list[PlaceRow]
    placement: str
    cores: list[int]
    snapshots: SnapshotCounts


class Reading(msgspec.Struct, frozen=True):
    """The counters at one time, kept so that the next reading can tell rates."""

    taken_at_ns: int
    plane: Statistics
    sandboxes: tuple[Sandbox, ...]
    cpu_ns: dict[tuple[str, str], int]
    """By namespace and name."""
    placement: str
    cores: tuple[int, ...]
    snapshots: SnapshotCounts


def parse(stats: HostStats, now_ns: int) -> Reading:
    """Decodes what the daemon passed on; raises `msgspec.ValidationError` where it is no statistics."""
    return Reading(
        now_ns,
        parse_statistics(stats.dataplane_json),
        stats.sandboxes,
        {(one.namespace, one.name): one.cpu_ns for one in stats.cpu},
        stats.placement,
        stats.cores,
        stats.snapshots,
    )


def view(now: Reading, earlier: Reading | None = None) -> View:
    """What to show of a reading; with an earlier one, latencies and CPU are those of the time between."""
    before = {_key(one): one for one in earlier.plane.functions} if earlier else {}
    rows = [
        _row(counters, before.get(_key(counters)), now, earlier) for counters in now.plane.functions
    ]
    rows.sort(key=lambda row: (row.namespace, row.name))
    return View(
        now.taken_at_ns,
        rows,
        now.plane.sandboxes,
        workings.worker_rows(now.plane.workers, earlier.plane.workers if earlier else []),
        workings.place_rows(now.sandboxes),
        now.placement,
        list(now.cores),
        now.snapshots,
    )


def _key(counters: FunctionCounters) -> tuple[str, str]:
    return (counters.namespace, counters.name)


def _row(
    now: FunctionCounters,
    before: FunctionCounters | None,
    reading: Reading,
    earlier: Reading | None,
) -> Row:
    counts = now.duration.counts
    if before is not None:
        counts = difference(counts, before.duration.counts)
    replicas = [
        one
        for one in reading.sandboxes
        if (one.namespace, one.name) == _key(now)
        and one.state not in (SandboxState.EXITED, SandboxState.FAILED)
    ]
    millicores = sum(one.usage.cpu_millicores for one in replicas if one.usage)
    return Row(
        name=now.name,
        namespace=now.namespace,
        invocations=now.started,
        codes=now.codes,
        in_flight=now.in_flight,
        queued=now.queued,
        rejected=now.rejected,
        latency_s_p50=quantile_s(now.duration.bounds_s, counts, 0.5),
        latency_s_p99=quantile_s(now.duration.bounds_s, counts, 0.99),
        replicas=len(replicas),
        cpu_millicores=millicores,
        cpu_s=_seconds(reading.cpu_ns.get(_key(now))),
        cpu_ms_per_invocation=_cpu_ms(now, before, reading, earlier),
        memory_bytes=sum(one.usage.memory_bytes for one in replicas if one.usage),
    )


def _seconds(cpu_ns: int | None) -> float | None:
    return None if cpu_ns is None else cpu_ns / 1e9


def _cpu_ms(
    now: FunctionCounters,
    before: FunctionCounters | None,
    reading: Reading,
    earlier: Reading | None,
) -> float | None:
    """CPU milliseconds per invocation between two readings; None with one reading or without invocations."""
    if before is None or earlier is None or now.started <= before.started:
        return None
    key = _key(now)
    if key not in reading.cpu_ns or key not in earlier.cpu_ns:
        return None
    spent_ns = max(0, reading.cpu_ns[key] - earlier.cpu_ns[key])
    return spent_ns / 1e6 / (now.started - before.started)


def encode(shown_view: View) -> bytes:
    """A reading as JSON."""
    return msgspec.json.encode(shown_view)


def render(shown_view: View) -> RenderableType:
    """Tables of functions, places, sockets and front-door threads."""
    parts: list[RenderableType] = [_functions(shown_view.functions)]
    if shown_view.snapshots != SnapshotCounts():
        parts.append(workings.snapshots(shown_view.snapshots))
    if shown_view.places:
        parts.append(workings.places(shown_view.placement, shown_view.cores, shown_view.places))
    if shown_view.sandboxes:
        parts.append(workings.sockets(shown_view.sandboxes))
    if shown_view.workers:
        parts.append(workings.workers(shown_view.workers))
    return Group(*parts)


def _functions(rows: Sequence[Row]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("FUNCTION", no_wrap=True)
    columns = ("REPLICAS", "INVOCATIONS", "CODES", "IN FLIGHT", "QUEUED", "REJECTED", "P50", "P99")
    for column in (*columns, "CPU", "CPU TIME", "CPU/INV", "MEMORY"):
        table.add_column(column, justify="right")
    for row in rows:
        codes = " ".join(f"{code}:{count:,}" for code, count in sorted(row.codes.items()))
        per = row.cpu_ms_per_invocation
        table.add_row(
            f"{row.name}.{row.namespace}",
            str(row.replicas),
            f"{row.invocations:,}",
            codes or "-",
            str(row.in_flight),
            str(row.queued),
            str(row.rejected),
            _latency(row.latency_s_p50),
            _latency(row.latency_s_p99),
            f"{row.cpu_millicores:.0f}m",
            "-" if row.cpu_s is None else f"{row.cpu_s:.2f} s",
            "-" if per is None else f"{per:.3f} ms",
            shown.size(row.memory_bytes),
        )
    return table


FINEST_BOUND_S = 0.005


def _latency(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    # The first bucket reaches from 0 to 5 ms: interpolating inside it would invent a figure.
    return "< 5 ms" if seconds <= FINEST_BOUND_S else shown.duration(seconds)
