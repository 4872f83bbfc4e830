"""Goal: the simulator's benchmark measures what its words say, pairs sizes of one round, and knows a run that failed."""

import dataclasses
from pathlib import Path

import pytest
import typer
from rich.progress import Progress

from loadtests import goals, record
from loadtests.beginning import Beginning
from loadtests.failure import Attempts
from loadtests.journal import values
from loadtests.quiet import Quiet
from loadtests.record import Subject
from loadtests.series import OURS, Series
from loadtests.simulator import __main__ as bench
from loadtests.simulator import chapter, probe
from loadtests.simulator.probe import Cost, ProbeFailed
from loadtests.simulator.workloads import BASELINES, FULL, QUICK, SPEED, Workload
from tests.unit.loadtests.facts import PROVENANCE

SMALL = Workload(
    "small", "a second of three machines", "quickstart-baseline", ("trace.duration_s=1",)
)
COST = Cost(8000, 40_000, 0.5, 0.8, 51_200)


def run_of(workloads, tmp_path: Path, rounds: int = 2) -> bench.Run:
    said: list[str] = []
    return bench.Run(
        workloads=workloads,
        rounds=rounds,
        seed=1,
        quiet=Quiet(0, sleep=lambda _: None),
        attempts=Attempts(said.append),
        folder=tmp_path,
        began=Beginning(PROVENANCE.commit),
    )


def test_a_probe_measures_a_run_in_a_process_of_its_own():
    cost = probe.measure(SMALL)
    assert cost.requests > 0
    assert cost.events > cost.requests
    assert 0 < cost.run_cpu_s < cost.whole_cpu_s
    assert 10_000 < cost.peak_rss_kib < 300_000


@pytest.mark.parametrize(
    ("scenario", "overrides", "words"),
    [
        ("no-such", (), "no-such"),
        ("quickstart-baseline", ("trace.rate_per_s=-1",), "rate_per_s"),
        ("quickstart-baseline", ("limits.end_s=1",), "were not completed"),
    ],
)
def test_a_probe_that_fails_says_why(scenario, overrides, words):
    with pytest.raises(ProbeFailed, match=words):
        probe.measure(dataclasses.replace(SMALL, scenario=scenario, overrides=overrides))


def test_figures_of_a_cost_and_their_units():
    assert COST.figures() == {
        "requests_per_cpu_s": 16_000,
        "whole_requests_per_cpu_s": 10_000,
        "cpu_us_per_request": 62.5,
        "peak_rss_mib": 50,
        "requests_count": 8000,
        "events_per_request_count": 5,
    }


def test_the_parents_memory_is_not_counted():
    status = "Name:\tpython\nVmPeak:\t  99999 kB\nVmHWM:\t   4321 kB\nVmRSS:\t   4000 kB\n"
    assert probe.peak_rss_kib(status) == 4321
    with pytest.raises(ValueError, match="VmHWM"):
        probe.peak_rss_kib("")


def test_every_goal_is_of_a_workload_that_is_measured():
    subjects = {one.subject for one in FULL if not one.target}
    targets = {one.target for one in FULL if one.target}
    mine = [goal for goal in goals.GOALS if goal.benchmark == chapter.BENCHMARK]
    assert mine
    for bound in (bound for goal in mine for bound in goal.bounds):
        assert set(bound.subjects) <= subjects
        assert bound.baseline in {"", *BASELINES}
        assert bound.figure in COST.figures()
    assert targets == set(BASELINES) == set(chapter.SIZES)
    assert set(SPEED) <= set(QUICK)


def test_only_known_subjects_are_chosen():
    assert {one.subject for one in bench.chosen(FULL, "machines, week")} == {"machines", "week"}
    assert bench.chosen(QUICK, "") == list(QUICK)
    with pytest.raises(typer.BadParameter, match="split-compat"):
        bench.chosen(FULL, "nothing")


def test_rounds_are_paired_and_a_failure_loses_itself_alone(monkeypatch, tmp_path):
    costs = {"machines10": 0.4, "": 0.6}

    def measured(workload: Workload) -> Cost:
        if workload.target == "machines100":
            raise ProbeFailed("out of memory")
        return dataclasses.replace(COST, run_cpu_s=costs[workload.target])

    monkeypatch.setattr(probe, "measure", measured)
    current = run_of(bench.chosen(FULL, "machines"), tmp_path, rounds=3)
    with Progress(disable=True) as bar:
        bench.measure(current, bar)
    records = current.journal(complete=True).known.records
    (grown,) = [one for one in records if one.figure == "cpu_us_per_request"]
    assert (grown.baseline, grown.rounds) == ("machines10", 3)
    assert grown.ratio == pytest.approx(1.5)
    assert (grown.goal, grown.met) == ("<= 3 x machines10", True)
    assert [one.target for one in current.attempts.failures] == ["machines100"] * 2
    assert chapter.growth(records)[0][:5] == ["machines", "10", "1,000", "50 to 75", "1.50"]


def test_the_chapter_shows_speed_growth_and_an_extrapolation(tmp_path):
    made = []
    for subject, requests, kib in (("whole-compat", 8_000, 46_080), ("week", 273_000, 91_136)):
        series = Series(chapter.BENCHMARK, Subject(subject))
        cost = dataclasses.replace(COST, requests=requests, peak_rss_kib=kib, run_cpu_s=20.0)
        for figure, value in cost.figures().items():
            series.add(OURS, figure, value)
        assert values([series])
        made += series.records(BASELINES, PROVENANCE)
    page = chapter.table(made)
    assert "| `whole-compat` | 40 H100 machines" in page
    assert "`requests_per_cpu_s` >= 10000 1/s; `peak_rss_mib` <= 286 MiB" in page
    assert "**no**" in page  # 400 requests per CPU-second
    assert "| 242 |" in page
    assert "Extrapolated, not measured: all 27.3 million requests" in page
    assert "33 minutes" in page
    assert "174 bytes per request 4.5 GiB" in page
    assert len(chapter.shown(made, "title", FULL)) == 2
    assert not chapter.extrapolated(made[:6])


def test_the_exponent_of_growth():
    assert chapter.exponent(1.0, 100) == 0
    assert chapter.exponent(100.0, 100) == pytest.approx(1)
    assert chapter.exponent(10.0, 100) == pytest.approx(0.5)


def test_a_goal_is_judged_over_both_workloads():
    verdicts = [one for one in record.judge([]) if one.goal.name == "simulator-compat"]
    assert {finding.subject for finding in verdicts[0].findings} == set(goals.COMPAT)
