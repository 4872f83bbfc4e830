"""Prometheus metrics of how the host works: CPU time, places, wake-ups, rings, front-door threads.

| metric | type | labels | from |
|---|---|---|---|
| junctiond_function_cpu_seconds_total | counter | function_name | control groups |
| junctiond_function_wakes_total | counter | function_name, direction | rings: writes to the other side's eventfd |
| junctiond_function_notifications_total | counter | function_name | socket calls that jnetd answered |
| junctiond_function_dials_total | counter | function_name, outcome | connections that the front door opened |
| junctiond_function_moves_total | counter | function_name | sandboxes that the placement moved |
| junctiond_function_ring_connections | gauge | function_name | connections on rings |
| junctiond_sandboxes | gauge | seat | paired, spread, free |
| junctiond_spinning_sandboxes | gauge | | sandboxes that may poll before they park |
| junctiond_placement_info | gauge | mode, cores | always 1 |
| junctiond_snapshots_total | counter | outcome | taken, refused, restored, fallback, since the daemon started |
| junctiond_worker_seconds_total | counter | worker, state | run, wait, park of a front-door thread |
| junctiond_worker_wakeups_total, _events_total, _requests_total, _bells_total | counter | worker | front door |
| junctiond_worker_connections | gauge | worker | front door |

Labels are bounded: functions that exist, threads, and fixed words. Sandboxes come and go, so theirs are summed up by
function; `SandboxTotals` keeps what those that are gone had counted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from junctiond.cores.layout import show_cores
from junctiond.dataplane.statistics import SandboxCounters, Statistics, WorkerCounters
from junctiond.domain import HostStats, Sandbox, SnapshotCounts

SEATS = ("paired", "spread", "free")
Counts = dict[tuple[str, str], int]
"""By function and what is counted."""
_COUNTED = ("notifications", "dials", "dial_failures", "wakes_to_guest", "wakes_to_host")


class SandboxTotals:
    """Counters of functions from counters of their sandboxes, which never fall when a sandbox goes.

    A sandbox that lives and dies between two scrapes is not seen.
    """

    def __init__(self) -> None:
        self._last: dict[str, dict[str, int]] = {}
        self._gone: Counts = {}

    def add(
        self, sandboxes: Sequence[SandboxCounters], places: Sequence[Sandbox], functions: set[str]
    ) -> Counts:
        """The totals with what these report; functions that are gone are forgotten."""
        now: dict[str, dict[str, int]] = {}
        for one in sandboxes:
            now[one.sandbox] = {name: getattr(one, name) for name in _COUNTED}
        for place in places:
            now.setdefault(place.id, {})["moves"] = place.place.moves
        for sandbox, counts in self._last.items():
            for name, value in counts.items():
                # Also what a restarted data plane or daemon counts anew from zero.
                if value > now.get(sandbox, {}).get(name, -1):
                    key = (function_of(sandbox), name)
                    self._gone[key] = self._gone.get(key, 0) + value
        self._last = now
        self._gone = {key: value for key, value in self._gone.items() if key[0] in functions}
        totals = dict(self._gone)
        for sandbox, counts in now.items():
            function = function_of(sandbox)
            if function in functions:
                for name, value in counts.items():
                    totals[function, name] = totals.get((function, name), 0) + value
        return totals


def function_of(sandbox: str) -> str:
    """`name.namespace` of a sandbox `name.namespace.token`."""
    return sandbox.rpartition(".")[0]


def host_families(
    stats: HostStats, statistics: Statistics, totals: Mapping[tuple[str, str], int]
) -> Iterator[Metric]:
    """The metric families of the host's own working."""
    yield _cpu(stats)
    yield from _sandbox_counters(totals)
    yield from _places(stats, statistics)
    yield _snapshots(stats.snapshots)
    yield from _workers(statistics.workers)


def _cpu(stats: HostStats) -> Metric:
    family = CounterMetricFamily(
        "junctiond_function_cpu_seconds",
        "CPU time of all sandboxes of a function since the daemon started",
        labels=["function_name"],
    )
    for one in stats.cpu:
        family.add_metric([f"{one.name}.{one.namespace}"], one.cpu_ns / 1e9)
    return family


def _snapshots(counts: SnapshotCounts) -> Metric:
    family = CounterMetricFamily(
        "junctiond_snapshots",
        "Snapshots taken and refused, replicas restored and started without theirs",
        labels=["outcome"],
    )
    family.add_metric(["taken"], counts.taken)
    family.add_metric(["refused"], counts.refused)
    family.add_metric(["restored"], counts.restored)
    family.add_metric(["fallback"], counts.fallbacks)
    return family


def _sandbox_counters(totals: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    wakes = CounterMetricFamily(
        "junctiond_function_wakes",
        "Wake-ups across rings by who was woken",
        labels=["function_name", "direction"],
    )
    dials = CounterMetricFamily(
        "junctiond_function_dials",
        "Connections that the front door tried to open to replicas",
        labels=["function_name", "outcome"],
    )
    notifications = CounterMetricFamily(
        "junctiond_function_notifications",
        "Socket calls that the data plane answered",
        labels=["function_name"],
    )
    moves = CounterMetricFamily(
        "junctiond_function_moves", "Moves of replicas between cores", labels=["function_name"]
    )
    for function, name in sorted(totals):
        value = totals[function, name]
        match name:
            case "wakes_to_guest" | "wakes_to_host":
                wakes.add_metric([function, name.removeprefix("wakes_")], value)
            case "dials":
                failed = totals.get((function, "dial_failures"), 0)
                dials.add_metric([function, "ok"], max(0, value - failed))
            case "dial_failures":
                dials.add_metric([function, "failed"], value)
            case "notifications":
                notifications.add_metric([function], value)
            case _:
                moves.add_metric([function], value)
    yield from (wakes, dials, notifications, moves)


def _places(stats: HostStats, statistics: Statistics) -> Iterator[Metric]:
    seats = GaugeMetricFamily("junctiond_sandboxes", "Sandboxes by how they sit", labels=["seat"])
    for seat in SEATS:
        seats.add_metric([seat], sum(one.place.seat == seat for one in stats.sandboxes))
    spinning = sum(one.place.spin_us > 0 for one in stats.sandboxes)
    mode = GaugeMetricFamily(
        "junctiond_placement_info", "How cores are chosen", labels=["mode", "cores"]
    )
    mode.add_metric([stats.placement, show_cores(stats.cores)], 1)
    rings = GaugeMetricFamily(
        "junctiond_function_ring_connections",
        "Connections on rings now",
        labels=["function_name"],
    )
    for function, connections in sorted(_ring_connections(statistics.sandboxes).items()):
        rings.add_metric([function], connections)
    yield from (seats, mode, rings)
    yield GaugeMetricFamily(
        "junctiond_spinning_sandboxes", "Sandboxes that may poll before they park", spinning
    )


def _ring_connections(sandboxes: Iterable[SandboxCounters]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in sandboxes:
        function = function_of(one.sandbox)
        found[function] = found.get(function, 0) + one.ring_connections
    return found


def _workers(workers: Sequence[WorkerCounters]) -> Iterator[Metric]:
    seconds = CounterMetricFamily(
        "junctiond_worker_seconds",
        "Time of a front-door thread on a core, waiting for one, and asleep",
        labels=["worker", "state"],
    )
    connections = GaugeMetricFamily(
        "junctiond_worker_connections", "Client connections", labels=["worker"]
    )
    counters = {
        name: CounterMetricFamily(f"junctiond_worker_{name}", text, labels=["worker"])
        for name, text in (
            ("wakeups", "Times the thread came out of its sleep"),
            ("events", "Events it found then"),
            ("bells", "Events that were a bell of the rings"),
            ("requests", "Requests whose head was read"),
        )
    }
    for number, one in enumerate(workers):
        worker = str(number)
        for state in ("run", "wait", "park"):
            seconds.add_metric([worker, state], getattr(one, f"{state}_ns") / 1e9)
        connections.add_metric([worker], one.connections)
        for name, family in counters.items():
            family.add_metric([worker], getattr(one, name))
    yield from (seconds, connections, *counters.values())
