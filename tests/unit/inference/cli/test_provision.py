"""Goal: searches print the limit that their runs show, as tables and as JSON, and refuse what they cannot search."""

import json
import sys

import pytest

from inference.cli import app, provision
from inference.sweep.work import Outcome


@pytest.fixture
def jsim(monkeypatch, capsys, tmp_path):
    """Runs a search whose runs are made up: a cluster holds up to 3 requests/s for each machine of its smaller pool."""

    def outcome_of(task):
        keys = dict(one.split("=") for one in task.overrides)
        rate = float(keys["trace.rate_per_s"])
        prefill = int(keys.get("replicas.prefill.count", 5))
        decode = int(keys.get("replicas.decode.count", 3))
        held = rate <= 3 * min(prefill, decode)
        return Outcome({"requests": 1.0}, held, () if held else ("ttft_p99",))

    monkeypatch.setattr(provision, "outcome_of", outcome_of)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jsim", "provision", *arguments, "--jobs", "1"])
        with pytest.raises(SystemExit) as ended:
            app.main()
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return run


GRID = ["--low", "1", "--high", "30", "--step", "1"]


def test_the_highest_rate_of_a_cluster(jsim):
    status, out, _ = jsim("quickstart", *GRID)
    assert status == 0
    assert out.startswith("scenario quickstart  seed 0\n")
    assert "highest rate under the objectives: 9 requests/s\n" in out
    assert "ttft_p99" in out
    found = json.loads(jsim("quickstart", *GRID, "--json")[1])
    assert found["rate_per_s"] == 9
    assert found["open_above"] is False


def test_limits_outside_the_grid_are_said(jsim):
    assert "9 requests/s" not in jsim("quickstart", "--low", "1", "--high", "4")[1]
    assert (
        "or more: raise --high" in jsim("quickstart", "--low", "1", "--high", "6", "--step", "1")[1]
    )
    assert "lower --low" in jsim("quickstart", "--low", "50", "--high", "60")[1]


def test_the_best_split_of_a_budget(jsim):
    status, out, _ = jsim("quickstart", *GRID, "--iso", "machines")
    assert status == 0
    assert "4P4T" in out
    assert "highest rate under the objectives: 12 requests/s\n" in out
    found = json.loads(jsim("quickstart", *GRID, "--iso", "machines", "--budget", "6", "--json")[1])
    assert found["best"]["splits"] == [{"prefill": 3, "decode": 3}]
    assert found["confirmed"]["rate_per_s"] == 9


def test_splits_may_be_kept_near_the_scenarios(jsim):
    out = jsim("quickstart", *GRID, "--iso", "machines", "--around", "1")[1]
    assert "3 splits" in out
    status, _, err = jsim(
        "quickstart", *GRID, "--iso", "machines", "--budget", "2", "--around", "1"
    )
    assert status == 2
    assert "no split within 1 of 5 prefill machines" in err


def test_the_least_cluster_for_a_rate(jsim):
    status, out, _ = jsim("quickstart", "--at-rate", "7")
    assert status == 0
    assert "3P3T" in out
    found = json.loads(jsim("quickstart", "--at-rate", "7", "--iso", "cost", "--json")[1])
    assert found["cheapest"]["splits"] == [{"prefill": 3, "decode": 3}]
    assert "none holds the objectives" in jsim("quickstart", "--at-rate", "70")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quickstart", "--low", "5", "--high", "1"], "--low, --high, --step: expected 0 < low"),
        (["quickstart", "--iso", "beauty"], "--iso"),
        (["quickstart", "--iso", "power", "--budget", "1"], "expected a budget of at least"),
        (["quickstart", "--at-rate", "5", "--budget", "1"], "--budget: expected at least 2"),
        (["quickstart-baseline", "--iso", "power"], "one prefill and one decode group"),
        (["golden-hh-conv30", "--set", "trace.kind=azure"], "trace.rate_per_s: unknown key"),
    ],
)
def test_impossible_searches_are_one_line(jsim, arguments, said):
    status, _, err = jsim(*arguments)
    assert status == 2
    assert said in err.strip().splitlines()[-1]


def test_a_failing_run_ends_the_search(jsim, monkeypatch):
    monkeypatch.setattr(provision, "outcome_of", lambda task: Outcome({}, error="file: key: wrong"))
    status, _, err = jsim("quickstart", *GRID)
    assert status == 2
    assert err.strip().splitlines()[-1] == "error: file: key: wrong"
