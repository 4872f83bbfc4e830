import json

import msgspec
import pytest
from rich.console import Console

from junctiond.cli import counters
from junctiond.cli.histogram import difference, quantile_s
from junctiond.domain import (
    FunctionCpu,
    HostStats,
    Place,
    Sandbox,
    SandboxState,
    SnapshotCounts,
    Usage,
)

BOUNDS = [0.005, 0.01, 0.1]


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([], 0.5, None),
        ([0, 0, 0, 0], 0.5, None),
        ([10, 10, 10, 10], 0.5, 0.0025),
        ([0, 10, 10, 10], 0.5, 0.0075),
        ([0, 10, 10, 10], 1, 0.01),
        ([50, 50, 99, 100], 0.99, 0.1),
        ([0, 0, 0, 10], 0.5, 0.1),
    ],
)
def test_quantile(counts: list[int], share: float, expected: float | None) -> None:
    assert quantile_s(BOUNDS, counts, share) == pytest.approx(expected)


def test_difference_of_a_restarted_data_plane_is_the_later_reading() -> None:
    assert difference([5, 9], [1, 2]) == [4, 7]
    assert difference([5, 9], [6, 10]) == [5, 9]
    assert difference([5, 9], []) == [5, 9]


def reading(taken_at_s: int, started: int, counts: list[int], cpu: float) -> counters.Reading:
    plane = {
        "functions": [
            {
                "name": "aes",
                "namespace": "openfaas-fn",
                "started": started,
                "codes": {"200": started - 1, "502": 1},
                "in_flight": 2,
                "queued": 3,
                "rejected": 4,
                "duration": {"bounds_s": BOUNDS, "counts": counts, "sum_s": 1.5},
                "a_later_counter": 1,
            }
        ],
        "sandboxes": [{"sandbox": "aes.openfaas-fn.1", "notifications": 7}],
        "workers": [
            {
                "requests": started,
                "wakeups": 2 * started,
                "thread": 7,
                "cores": [0],
                "run_ns": started * 10**6,
                "wait_ns": 0,
                "park_ns": taken_at_s * 10**9,
            }
        ],
    }
    replicas = tuple(
        Sandbox(
            *(f"aes.openfaas-fn.{number}", "aes", "openfaas-fn", state),
            usage=Usage(cpu, 1 << 20, 3_000_000_000),
            place=Place((1,), "spread", "its worker's core is busy", 3, 20),
        )
        for number, state in enumerate(
            (SandboxState.READY, SandboxState.READY, SandboxState.EXITED)
        )
    )
    used = (FunctionCpu("aes", "openfaas-fn", started * 2_000_000),)
    return counters.parse(
        HostStats(
            json.dumps(plane), replicas, used, "balanced", (0, 1), SnapshotCounts(1_357, 2, 3, 4)
        ),
        taken_at_s * 10**9,
    )


def test_view_of_one_reading() -> None:
    row = counters.view(reading(10, 100, [100, 100, 100, 100], 50)).functions[0]
    assert (row.invocations, row.replicas, row.cpu_millicores) == (100, 2, 100)
    assert (row.memory_bytes, row.latency_s_p50, row.cpu_ms_per_invocation) == (
        2 << 20,
        0.0025,
        None,
    )


def test_view_between_two_readings_forgets_what_was_before() -> None:
    now = reading(12, 300, [100, 300, 300, 300], 50)
    row = counters.view(now, reading(10, 100, [100, 100, 100, 100], 0)).functions[0]
    assert row.latency_s_p50 == pytest.approx(0.0075)
    assert row.cpu_ms_per_invocation == pytest.approx(2.0)


def test_json_and_table() -> None:
    view = counters.view(reading(10, 1234, [10, 10, 10, 1234], 5))
    document = json.loads(counters.encode(view))
    assert document["functions"][0]["codes"] == {"200": 1233, "502": 1}
    console = Console(width=200)
    with console.capture() as captured:
        console.print(counters.render(view))
    text = captured.get()
    assert "aes.openfaas-fn" in text
    assert "1,234" in text
    assert "200:1,233 502:1" in text
    assert "NOTIFICATIONS" in text
    assert "placement balanced, cores 0-1" in text
    assert "its worker's core is busy" in text
    assert "20 µs" in text
    assert "snapshots" in text
    assert "1,357" in text
    assert document["snapshots"] == {"taken": 1357, "refused": 2, "restored": 3, "fallbacks": 4}
    assert document["places"][0] == {
        "sandbox": "aes.openfaas-fn.0",
        "seat": "spread",
        "cores": [1],
        "moves": 3,
        "reason": "its worker's core is busy",
        "spin_us": 20,
        "cpu_s": 3.0,
    }


def test_workers_tell_what_they_did_between_two_readings() -> None:
    earlier = reading(10, 100, [1, 1, 1, 1], 0)
    row = counters.view(reading(12, 300, [1, 1, 1, 1], 0), earlier).workers[0]
    assert row.wakeups_per_request == pytest.approx(2)
    assert row.run_share == pytest.approx(0.2 / 2.2)
    assert (row.wait_share, row.cores) == (0, [0])
    fresh = counters.view(reading(12, 50, [1, 1, 1, 1], 0), earlier).workers[0]
    assert fresh.wakeups_per_request == pytest.approx(2), "a restarted jnetd counts from zero"


def test_statistics_that_are_none() -> None:
    with pytest.raises(msgspec.ValidationError):
        counters.parse(HostStats('{"functions": 5}', ()), 0)
    assert counters.view(counters.parse(HostStats("", ()), 0)).functions == []
