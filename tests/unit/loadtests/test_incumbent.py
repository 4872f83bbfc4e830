"""Goal: the side-by-side run counts, plots and shows what it measured, and knows a failure when it sees one."""

import ipaddress
import json
import tomllib
from pathlib import Path

import pytest

from loadtests import goals
from loadtests.generators import ClientReport
from loadtests.incumbent import plots
from loadtests.incumbent.chapter import BENCHMARK, HEAD, row, rows, table
from loadtests.incumbent.containerd import CONFIG, mounts_below
from loadtests.incumbent.effort import FULL, QUICK
from loadtests.incumbent.memory import note
from loadtests.incumbent.network import configuration
from loadtests.incumbent.openfaas import CACHED, MODES, STOCK, count_lookups, gateway_settings
from loadtests.incumbent.quoted import FAASD
from loadtests.incumbent.side import BASELINES
from loadtests.incumbent.warm import failed
from loadtests.memory import Growth
from loadtests.record import Subject
from loadtests.series import OURS, Series, unit_of
from tests.unit.loadtests.facts import PROVENANCE

METRICS = """\
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="containerd.services.containers.v1.Containers",grpc_type="unary"} 50
grpc_server_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="containerd.services.images.v1.Images",grpc_type="unary"} 10
grpc_server_handled_total{grpc_code="NotFound",grpc_method="Get",grpc_service="containerd.services.tasks.v1.Tasks",grpc_type="unary"} 2e+01
grpc_server_handled_total{grpc_code="OK",grpc_method="Create",grpc_service="containerd.services.tasks.v1.Tasks",grpc_type="unary"} 3
grpc_server_handled_total{grpc_code="OK",grpc_method="Get",grpc_service="containerd.services.content.v1.Content",grpc_type="unary"} 4
"""


def series(**figures: tuple[float, ...]) -> Series:
    """A series in which each figure has the values of ours, the cached and the stock stack."""
    made = Series(BENCHMARK, Subject("aes", "", "own"))
    for figure, values in figures.items():
        for name, value in zip((OURS, CACHED, STOCK), values, strict=False):
            made.add(name, figure, value)
    return made


def test_only_look_ups_are_counted() -> None:
    assert count_lookups(METRICS) == 80
    assert count_lookups("") == 0


def test_only_mounts_below_the_folder_are_ours() -> None:
    mounts = (
        "proc /proc proc rw 0 0\noverlay /x/c/a/rootfs overlay rw 0 0\nshm /x/cc tmpfs rw 0 0\n"
    )
    assert mounts_below(Path("/x/c"), mounts) == ["/x/c/a/rootfs"]


def test_configurations_are_what_their_readers_parse() -> None:
    text = CONFIG.format(folder="/x", metrics="127.0.0.1:1")
    assert tomllib.loads(text)["grpc"]["address"] == "/x/containerd.sock"
    subnet = ipaddress.IPv4Network("10.214.1.0/24")
    (bridge,) = json.loads(configuration("jinc1", subnet, Path("/leases")))["plugins"]
    assert (bridge["type"], bridge["bridge"]) == ("bridge", "jinc1")
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.214.1.0/24"}]]


def test_stock_asks_for_replicas_and_cached_does_not() -> None:
    asked = {
        mode.name: gateway_settings(mode, "http://p/", Path("/s"))["scale_from_zero"]
        for mode in MODES
    }
    assert asked == {STOCK: "true", CACHED: "false"}
    assert {mode.name: mode.resolve for mode in MODES} == {STOCK: "every", CACHED: "once"}


def report(**changes: object) -> ClientReport:
    plain: dict[str, object] = {
        "mode": "open",
        "connections": 64,
        "rate_rps": 10.0,
        "requests": 10,
        "elapsed_ns": 1,
        "rps": 10.0,
        "codes": {"200": 10},
        "failures": {},
        "unsent": 0,
        "body_bytes": 600,
        "differing": 0,
        "latency_ns": {},
        "client_cpu_ns": 1,
        "started_at_ns": 1,
        "finished_at_ns": 2,
    }
    return ClientReport(**{**plain, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"unsent": 3}, 0),
        ({"codes": {"200": 9, "500": 1}}, 1),
        ({"failures": {"read": 1, "connect": 2}}, 3),
        ({"differing": 1}, 1),
    ],
)
def test_any_other_answer_is_a_failure(changes: dict[str, object], count: int) -> None:
    assert failed(report(**changes)) == count


def test_memory_counts_what_bare_processes_do_not_need() -> None:
    made = Series(BENCHMARK)
    found = {OURS: Growth(3, 1.5, 0.25), STOCK: Growth(9, 0.5, 2.0), "bare": Growth(2, 1.0, 0)}
    note(made, found)
    assert made.of(OURS, "platform_mib_per_replica") == [0.75]
    assert made.of(STOCK, "platform_mib_per_replica") == [2.0]
    assert made.of("bare", "available_mib_per_replica") == [2]
    assert made.of("bare", "platform_mib_per_replica") == []


def test_lines_of_the_plots_have_ours_and_every_baseline() -> None:
    records = series(rps_c8=(900, 90, 9), rps_c1=(100, 10, 1), rps_peak=(1, 1, 1)).records(
        BASELINES, PROVENANCE
    )
    assert plots.lines(records, r"rps_c(\d+)") == {
        OURS: [(1, 100), (8, 900)],
        CACHED: [(1, 10), (8, 90)],
        STOCK: [(1, 1), (8, 9)],
    }


def test_plots_are_pictures(tmp_path: Path) -> None:
    records = series(rps_c8=(900, 90, 9), open75_latency_ms_p99=(1, 10, 100)).records(
        BASELINES, PROVENANCE
    )
    plots.rates(records, "test", tmp_path / plots.RATES)
    plots.open_loops(records, "test", tmp_path / plots.OPEN)
    assert all(
        (tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in (plots.RATES, plots.OPEN)
    )


def test_a_row_shows_every_system_its_ratio_and_the_quoted_figure() -> None:
    records = series(latency_us_p50=(50, 1000, 10_000)).records(BASELINES, PROVENANCE)
    cells = dict(zip(HEAD, row("latency_us_p50", records), strict=True))
    assert cells["junctiond"] == "50 us"
    assert (cells[CACHED], cells[STOCK], cells["bare"]) == ("1,000", "10,000", "")
    assert (cells["ours / cached"], cells["ours / stock"]) == ("1 / 20", "1 / 200")
    assert cells["met"] == "yes"
    assert (cells["faasd cached, quoted"], cells["faasd, quoted"]) == ("1,360", "10,900")


def test_a_missed_goal_is_shown() -> None:
    records = series(latency_us_p50=(500, 1000, 10_000)).records(BASELINES, PROVENANCE)
    assert "**no**" in table(records)


def test_counts_of_nothing_are_left_out() -> None:
    quiet = series(open75_unsent_count=(0, 0, 0), rps_c1=(1, 1, 1)).records(BASELINES, PROVENANCE)
    assert [cells[0] for cells in rows(quiet)] == ["`rps_c1`"]
    loud = series(open75_unsent_count=(0, 0, 2)).records(BASELINES, PROVENANCE)
    assert [cells[0] for cells in rows(loud)] == ["`open75_unsent_count`"]


def test_rows_come_in_reading_order() -> None:
    names = ["rps_c2", "open75_latency_ms_p99", "rps_c64", "latency_us_p50", "rps_c8"]
    made = series(**dict.fromkeys(names, (1, 1, 1))).records(BASELINES, PROVENANCE)
    assert [cells[0].strip("`") for cells in rows(made)] == [
        *("latency_us_p50", "rps_c2", "rps_c8", "rps_c64", "open75_latency_ms_p99"),
    ]


def test_quoted_figures_have_a_unit_and_stand_beside_measured_ones() -> None:
    assert set(FAASD) <= set(BASELINES)
    assert all(unit_of(figure) for quoted in FAASD.values() for figure in quoted)


def test_every_goal_of_this_benchmark_has_a_baseline_that_it_measures() -> None:
    bounds = [bound for goal in goals.GOALS if goal.benchmark == BENCHMARK for bound in goal.bounds]
    assert bounds
    assert {bound.baseline for bound in bounds} <= set(BASELINES)


def test_the_quick_run_is_a_part_of_the_full_one() -> None:
    assert set(QUICK.connections) <= set(FULL.connections)
    assert set(QUICK.shares) <= set(FULL.shares)
    assert FULL.rounds >= 5
