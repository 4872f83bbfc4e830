import json
from pathlib import Path

import pytest

from loadtests import goals, ledger, record
from loadtests.ledger import Known
from loadtests.machine import CpuTimes
from loadtests.mark import FAILED, Mark, Scope
from loadtests.series import unit_of
from tests.unit.loadtests.facts import PROVENANCE

AES = record.Subject("aes", "fd", "split")


def make(value: float = 75, figure: str = "latency_us_p50") -> record.Record:
    return record.make(
        "warm",
        AES,
        figure,
        "us",
        [value, value + 1, value - 1],
        PROVENANCE,
        baseline="bare",
        baseline_values=[50, 51, 49],
    )


def test_make_takes_medians_and_looks_the_goal_up() -> None:
    made = make()
    assert (made.value, made.baseline_value, made.rounds) == (75, 50, 3)
    assert (made.least, made.most) == (74, 76)
    assert made.ratio == pytest.approx(1.5, rel=0.02)
    assert made.difference == 25
    assert (made.goal, made.met) == ("<= bare + 30 us", True)
    assert make(value=81).met is False


def test_make_without_goal_or_baseline() -> None:
    made = record.make("warm", AES, "latency_us_p90", "us", [1], PROVENANCE)
    assert (made.baseline, made.baseline_value, made.ratio) == (None, None, None)
    assert (made.goal, made.met) == (None, None)


def test_a_ratio_goal_that_was_not_measured_is_no_verdict() -> None:
    made = record.make("warm", AES, "rps_c8", "1/s", [1000], PROVENANCE, baseline="bare")
    assert made.goal is None


def test_ratio_goal() -> None:
    made = record.make(
        *("warm", AES, "rps_c8", "1/s", [70, 60], PROVENANCE),
        baseline="bare",
        baseline_values=[90, 90],
    )
    assert (made.goal, made.met) == (">= 0.7 x bare", True)


def test_a_goal_counts_in_its_placement_and_attachment_only() -> None:
    for subject in (
        record.Subject("aes", "fd", "free"),
        record.Subject("aes", "mixed", "split"),
        record.Subject("hello", "fd", "split"),
    ):
        made = record.make(
            *("warm", subject, "latency_us_p50", "us", [75], PROVENANCE),
            baseline="bare",
            baseline_values=[50],
        )
        assert made.goal is None


def test_file_keeps_the_newest_of_each_figure(tmp_path: Path) -> None:
    path = tmp_path / "results" / "latest.json"
    ledger.append(Known((make(), make(figure="latency_us_p99"))), path)
    ledger.append(Known((make(value=99),)), path)
    found = ledger.load(path).records
    assert [(one.figure, one.value) for one in found] == [
        ("latency_us_p50", 99),
        ("latency_us_p99", 75),
    ]
    assert list(json.loads(path.read_text())["records"][0]) == [
        *("benchmark", "subject", "attachment", "placement", "figure", "unit", "value", "least"),
        *("most", "baseline", "baseline_value", "ratio", "difference", "goal", "met", "rounds"),
        *("commit", "machine", "time"),
    ]
    bounds = [one for one in json.loads(path.read_text())["goals"] if one["measured"] is not None]
    assert [(one["figure"], one["measured"], one["met"]) for one in bounds] == [
        ("latency_us_p50", 49, False),
        ("latency_us_p99", 1.5, True),
    ]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"schema": 3', '"schema": 1', "schema 1"),
        ('"rounds": 3', '"rounds": "3"', "rounds"),
        ('"rounds": 3', '"rounds": 0', "rounds must be"),
        ('"unit": "us"', '"unit": "us", "extra": 1', "extra"),
        ('"goal": "<= bare + 30 us"', '"goal": null', "goal and met"),
        ('"placement": "split",\n   "figure"', '"placement": "left",\n   "figure"', "left"),
        ('"baseline": "bare"', '"baseline": null', "named baseline"),
        ("2026-01-02T03", "yesterday", "yesterday"),
        ('"records"', '"recods"', "recods"),
    ],
)
def test_file_that_breaks_the_schema_is_refused_and_kept(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    path = tmp_path / "latest.json"
    ledger.append(Known((make(),)), path)
    broken = path.read_text().replace(old, new)
    path.write_text(broken)
    with pytest.raises(ValueError, match=complaint):
        ledger.append(Known((make(),)), path)
    assert path.read_text() == broken


def other(benchmark: str, figure: str, placement: str = "own") -> record.Record:
    subject = record.Subject("aes", "", placement)
    return record.make(benchmark, subject, figure, "", [1], PROVENANCE)


def failed(benchmark: str, subject: str = "aes", placement: str = "split") -> Mark:
    return Mark(FAILED, benchmark, subject, "ring", placement, 1, "open loop", "why", "2026-01-02")


def test_another_benchmark_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    ledger.append(Known((make(),), (failed("warm"),)), path, [Scope("warm", "aes", "split")])
    ledger.append(Known((other("sustained", "leaked10000_count"),)), path)
    found = ledger.append(Known((other("faasd", "rps_peak"),)), path)
    assert [one.benchmark for one in found.records] == ["faasd", "sustained", "warm"]
    assert found.marks == (failed("warm"),)
    measured = {one["figure"] for one in json.loads(path.read_text())["goals"] if one["met"]}
    assert measured == {"latency_us_p50"}  # of warm; leaks of 1 are too many


def test_a_section_measured_anew_leaves_nothing_of_the_run_before(tmp_path: Path) -> None:
    path, mixed = tmp_path / "latest.json", record.Subject("aes", "mixed", "split")
    old = record.make("warm", mixed, "latency_us_p50", "us", [9], PROVENANCE)
    elsewhere = record.make(
        *("warm", record.Subject("aes", "mixed", "one"), "latency_us_p50", "us", [9], PROVENANCE)
    )
    marks = (failed("warm"), failed("warm", "hello"), failed("warm", ""))
    ledger.append(Known((old, elsewhere), marks), path)
    found = ledger.append(Known((make(),)), path, [Scope("warm", "aes", "split")])
    assert [(one.placement, one.attachment) for one in found.records] == [
        ("split", "fd"),
        ("one", "mixed"),
    ]
    assert found.marks == (failed("warm", "hello"),)


def test_a_file_without_marks_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    ledger.append(Known((make(),)), path)
    old = json.loads(path.read_text())
    del old["marks"]
    path.write_text(json.dumps({**old, "schema": 2}))
    assert ledger.load(path) == Known((make(),))


def test_committed_results_keep_the_schema() -> None:
    assert all(one.rounds >= 1 for one in ledger.load().records)


def test_goals_name_figures_with_units_and_known_placements() -> None:
    for goal in goals.GOALS:
        for bound in goal.bounds:
            unit_of(bound.figure)
            assert bound.placement in record.PLACEMENTS


def test_cpu_times() -> None:
    earlier = CpuTimes.parse("cpu  100 0 50 800 10 0 5 35 0 0\ncpu0 1 2 3\n")
    later = CpuTimes.parse("cpu  150 0 50 840 10 0 5 45 0 0\n")
    assert later.shares_since(earlier) == (0.1, 0.4)
    assert earlier.shares_since(earlier) == (0, 0)
