import pytest

from junctiond.dataplane.statistics import Duration, SandboxCounters
from junctiond.domain import (
    Deployment,
    Function,
    FunctionCpu,
    HostStats,
    Place,
    Sandbox,
    SandboxState,
    SnapshotCounts,
)
from provider.measures import RequestMeasures, buckets, exposition
from provider.workings import SandboxTotals


def shown(text: str, *functions: Function) -> str:
    stats = HostStats(text, ())
    return exposition(RequestMeasures(), stats, functions, SandboxTotals()).decode()


def test_buckets_with_and_without_the_last_one() -> None:
    with_last = Duration([0.005, 1, 10], [1, 2, 3, 4], 5.0)
    assert buckets(with_last) == [("0.005", 1), ("1", 2), ("10", 3), ("+Inf", 4)]
    without = Duration([0.005, 10], [1, 3], 5.0)
    assert buckets(without) == [("0.005", 1), ("10", 3), ("+Inf", 3)]
    assert buckets(Duration()) == [("+Inf", 0)]


def test_a_data_plane_that_knows_more_or_less() -> None:
    text = '{"functions":[{"name":"a","namespace":"b","new":1}],"workers":[],"later":{}}'
    found = shown(text)
    assert 'gateway_function_invocation_started{function_name="a.b"} 0.0' in found
    assert shown("")


def test_service_count_counts_wanted_replicas() -> None:
    function = Function(Deployment("a", "i", "team"), 3, 1, 1, 1)
    found = shown("{}", function)
    assert 'gateway_service_count{function_name="a.team"} 3.0' in found


def test_label_values_are_escaped() -> None:
    text = '{"functions":[{"name":"a\\"b\\\\\\n","namespace":"c"}]}'
    found = shown(text)
    assert r'function_name="a\"b\\\n.c"' in found


@pytest.mark.parametrize("method", ["BREW", "GET"])
def test_series_are_bounded(method: str) -> None:
    measures = RequestMeasures()
    measures.observe(method, "/system/function/{name}", 200, 1_000_000)
    found = exposition(measures, HostStats("{}", ()), [], SandboxTotals()).decode()
    method = method if method == "GET" else "other"
    assert (
        f'provider_http_requests_total{{code="200",method="{method}",path="/system/function"}} 1.0'
        in found
    )


def place(sandbox: str, seat: str, moves: int, spin_us: int = 0) -> Sandbox:
    name, namespace, _ = sandbox.split(".")
    at = Place((0,), seat, "why", moves, spin_us)
    return Sandbox(sandbox, name, namespace, SandboxState.READY, place=at)


def test_how_the_host_works_is_told_in_seconds_and_counts() -> None:
    text = """{"functions": [], "sandboxes": [
        {"sandbox": "a.n.1", "dials": 5, "dial_failures": 2, "wakes_to_guest": 7, "ring_connections": 3}],
        "workers": [{"run_ns": 1500000000, "park_ns": 2000000000, "wakeups": 4, "bells": 2, "cores": [0]}]}"""
    sandboxes = (place("a.n.1", "spread", 2, 20), place("a.n.2", "paired", 0))
    cpu = (FunctionCpu("a", "n", 250_000_000),)
    counts = SnapshotCounts(taken=4, refused=3, restored=2, fallbacks=1)
    stats = HostStats(text, sandboxes, cpu, "balanced", (0, 1), counts)
    function = Function(Deployment("a", "i", "n"), 2, 2, 1, 1)
    found = exposition(RequestMeasures(), stats, [function], SandboxTotals()).decode()
    for line in (
        'junctiond_function_cpu_seconds_total{function_name="a.n"} 0.25',
        'junctiond_function_dials_total{function_name="a.n",outcome="ok"} 3.0',
        'junctiond_function_dials_total{function_name="a.n",outcome="failed"} 2.0',
        'junctiond_function_wakes_total{direction="to_guest",function_name="a.n"} 7.0',
        'junctiond_function_moves_total{function_name="a.n"} 2.0',
        'junctiond_function_ring_connections{function_name="a.n"} 3.0',
        'junctiond_sandboxes{seat="spread"} 1.0',
        'junctiond_sandboxes{seat="free"} 0.0',
        "junctiond_spinning_sandboxes 1.0",
        'junctiond_placement_info{cores="0-1",mode="balanced"} 1.0',
        'junctiond_snapshots_total{outcome="taken"} 4.0',
        'junctiond_snapshots_total{outcome="refused"} 3.0',
        'junctiond_snapshots_total{outcome="restored"} 2.0',
        'junctiond_snapshots_total{outcome="fallback"} 1.0',
        'junctiond_worker_seconds_total{state="run",worker="0"} 1.5',
        'junctiond_worker_wakeups_total{worker="0"} 4.0',
        'junctiond_worker_bells_total{worker="0"} 2.0',
    ):
        assert line in found


def test_counters_of_functions_never_fall() -> None:
    totals, functions = SandboxTotals(), {"a.n", "b.n"}
    key = ("a.n", "dials")

    def dials(**sandboxes: int) -> int:
        rows = [SandboxCounters(f"a.n.{one}", dials=value) for one, value in sandboxes.items()]
        return totals.add(rows, [], functions)[key]

    assert dials(x=5) == 5
    assert dials(x=7, y=1) == 8
    assert dials(y=2) == 9, "x is gone, what it counted is not"
    assert dials(y=1) == 10, "jnetd was restarted and counts anew"
    assert key not in totals.add([], [], {"b.n"}), "a deleted function has no series"
