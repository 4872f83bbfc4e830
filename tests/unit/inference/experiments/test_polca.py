"""The experiment on its busiest hours instead of six weeks: every target has a figure, and wrong policies are caught."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from inference.domain.request import Priority
from inference.experiments import polca
from inference.experiments.polca import Evaluation
from inference.models.provenance import Origin
from inference.policies.power.polca import polca as polca_of
from inference.policies.protocols import PowerPolicy
from inference.row.scenario import RowScenario, power_policy, shipped_row

ROW = shipped_row("polca-provisioned")
HOT = replace(ROW, days=0.2, load=replace(ROW.load, peak_hour=2.4, busy_peak=0.74))
"""Not quite five hours around the busiest."""


DAY = replace(ROW, days=1.0)


@pytest.fixture(scope="module")
def day() -> Evaluation:
    return Evaluation(DAY)


@pytest.fixture(scope="module")
def runs() -> Evaluation:
    return Evaluation(HOT)


def test_plus_30_percent_holds_all_objectives(day: Evaluation) -> None:
    assert day.judged(0.30, "polca").violations == ()
    targets = (*polca.objectives(day), *polca.performance(day))
    assert [target.id for target in targets] == [
        "PO1-high-p50",
        "PO1-high-p99",
        "PO1-low-p50",
        "PO1-low-p99",
        "PO3-high-p50",
        "PO3-high-throughput",
        "PO3-high-rate",
        "PO3-low-throughput",
        "PO3-low-rate",
    ]
    # Low priority loses 3.7 % of a busy server's rate, the paper says 2 %: it is known, and shown.
    assert [target.id for target in targets if not target.met] == ["PO3-low-rate"]
    assert all(target.provenance is Origin.MODELLED for target in targets)
    assert all(target.cpu_s > 0 for target in targets)
    assert targets[2].ours > targets[0].ours, "low priority pays first"


def test_only_polca_gets_by_without_the_brake(runs: Evaluation) -> None:
    ours, free = runs.judged(0.30, "polca"), runs.judged(0.30, "no-cap")
    assert ours.brakes == 0 < free.brakes
    assert ours.power.peak < 1.0 < free.power.peak
    assert "brake" in free.violations


def test_the_brake_is_in_time(runs: Evaluation) -> None:
    targets = polca.brake_timing(runs)
    assert [target.met for target in targets] == [True, True]
    assert targets[0].ours == pytest.approx(7.0)


def test_a_row_that_never_brakes_gives_no_brake_time(runs: Evaluation) -> None:
    judged = runs.judged(0.0, "no-cap")
    assert judged.brakes == 0
    assert math.isnan(judged.brake_held_s)


def test_more_servers_press_harder_until_something_breaks(runs: Evaluation) -> None:
    swept = polca.oversubscription(runs, (0.0, 0.2, 0.45))
    assert all(less.power.peak < more.power.peak for less, more in pairwise(swept))
    assert swept[0].violations == swept[1].violations == ()
    assert swept[2].violations
    target = polca.first_violation(runs, (0.0, 0.45))
    assert target.ours == 45.0
    assert not target.met


def test_a_policy_that_is_wrong_on_purpose_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets_to_cap(row: RowScenario, name: str | None = None) -> PowerPolicy | None:
        return power_policy(row, "no-cap" if name == "polca" else name)

    monkeypatch.setattr(polca, "power_policy", forgets_to_cap)
    brakes = {one.id: one for one in polca.brakes(Evaluation(HOT))}
    assert not brakes["PO2-polca"].met


def test_a_policy_that_caps_the_wrong_servers_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def caps_everybody(row: RowScenario, name: str | None = None) -> PowerPolicy | None:
        if name != "polca":
            return power_policy(row, name)
        return polca_of(row.provisioned_w, [Priority.LOW] * row.servers)

    monkeypatch.setattr(polca, "power_policy", caps_everybody)
    objectives = {one.id: one for one in polca.objectives(Evaluation(DAY))}
    assert not objectives["PO1-high-p50"].met


def test_headroom_has_the_papers_figures_beside_ours(runs: Evaluation) -> None:
    targets = {target.id: target for target in polca.headroom(runs)}
    assert targets["PO4-inference"].paper == "21 %"
    assert targets["PO4-training"].met
    assert targets["PO4-training-rise-2s"].met
    assert targets["PO4-inference"].seed == runs.row.seed + 1
