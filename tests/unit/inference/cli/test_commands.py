"""Goal: each command does what its help says; bad input is one line that names it, with exit status 2."""

import json
import sys

import pytest

from inference.cli import app

SHORT = ["--set", "trace.duration_s=5"]


@pytest.fixture
def jsim(monkeypatch, capsys, tmp_path):
    """Runs a command line in an empty folder; gives (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jsim", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return run


def test_the_quickstart_tells_its_story(jsim):
    status, out, _ = jsim("run", "quickstart", *SHORT)
    assert status == 0
    assert out.startswith("scenario quickstart  seed 0\n")
    assert "quickstart against quickstart-baseline: TTFT P50" in out
    assert "quickstart holds its objectives" in out


def test_a_run_is_kept_reported_and_compared(jsim, tmp_path):
    status, out, _ = jsim(
        "run", "quickstart-baseline", *SHORT, "--seed", "3", "--out", "kept", "--html"
    )
    assert status == 0
    assert out.startswith("scenario quickstart-baseline  seed 3\n")
    assert (tmp_path / "kept" / "report.html").stat().st_size > 10_000
    status, first, _ = jsim("report", "kept", "--json", "--no-html")
    assert status == 0
    figures = json.loads(first)
    assert figures["seed"] == 3
    assert figures["slowdowns"]["reference"] == "bloom-176b a100-80gb tp8"
    status, out, _ = jsim(
        "compare", "kept", "quickstart", *SHORT, "--seed", "3", "--jobs", "1", "--html"
    )
    assert status == 0
    assert "quickstart-baseline" in out
    assert (tmp_path / "compare.html").is_file()


def test_json_is_all_of_standard_output(jsim):
    status, out, err = jsim("run", "quickstart", *SHORT, "--json")
    assert status == 0
    assert json.loads(out)["name"] == "quickstart"
    assert err == "scenario quickstart  seed 0\n"
    assert json.loads(jsim("scenarios", "--json")[1])[0]["name"]
    policies = json.loads(jsim("policies", "--json")[1])
    assert {"splitwise", "token_jsq"} <= {row["policy"] for row in policies}
    compared = jsim("compare", "quickstart-baseline", "quickstart", *SHORT, "--jobs", "1", "--json")
    assert json.loads(compared[1])["runs"] == ["quickstart-baseline", "quickstart"]


def test_listings_are_tables(jsim):
    assert "splitwise-iso-power-conv-hh" in jsim("scenarios")[1]
    assert "queue_tokens_max=8192" in jsim("policies")[1]


def test_a_scenario_is_shown_key_by_key_with_the_file_that_sets_it(jsim):
    out = jsim("scenarios", "quickstart")[1]
    assert "trace.rate_per_s" in out
    rows = {row["key"]: row for row in json.loads(jsim("scenarios", "quickstart", "--json")[1])}
    assert rows["trace.rate_per_s"] == {
        "key": "trace.rate_per_s",
        "value": 14.0,
        "set_in": "quickstart.toml",
    }
    assert rows["batching.tokens_max"]["set_in"] == "base-splitwise.toml"
    assert rows["replicas.decode.tp"] == {"key": "replicas.decode.tp", "value": 8, "set_in": ""}
    assert rows["models"]["value"] == ["bloom-176b"]


def test_keys_are_listed_with_what_they_mean(jsim):
    assert "home pool of Splitwise's" in jsim("keys", "replicas")[1]
    rows = json.loads(jsim("keys", "trace.rate", "--json")[1])
    assert {row["kind"] for row in rows} >= {"poisson", "mix"}
    status, _, err = jsim("keys", "tracee")
    assert status == 2
    assert "no key begins with 'tracee'; did you mean 'trace'?" in err


def test_a_window_becomes_a_chrome_trace(jsim, tmp_path):
    status, out, _ = jsim("run", "quickstart", *SHORT, "--trace-window", "1:2")
    assert status == 0
    assert "wrote quickstart.trace.json" in out
    assert json.loads((tmp_path / "quickstart.trace.json").read_text())


def test_a_sweep_leaves_rows_and_a_plot(jsim, tmp_path):
    grid = ["--grid", "trace.rate_per_s=5:15:5", "--grid", "routing.policy=splitwise,jsq_pairs"]
    status, out, _ = jsim("sweep", "quickstart", *SHORT, *grid, "--jobs", "1", "--out", "s")
    assert status == 0
    assert out.count("hold") == 6
    assert len((tmp_path / "s" / "sweep.csv").read_text().splitlines()) == 7
    assert (tmp_path / "s" / "sweep.png").is_file()


def test_an_interrupted_sweep_keeps_its_finished_rows(jsim, tmp_path, monkeypatch):
    from inference.cli import sweep
    from inference.sweep.work import outcome_of

    calls = []

    def interrupted(task):
        calls.append(task)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return outcome_of(task)

    monkeypatch.setattr(sweep, "outcome_of", interrupted)
    grid = ["--grid", "trace.rate_per_s=5,6,7"]
    status, _, err = jsim("sweep", "quickstart", *SHORT, *grid, "--jobs", "1")
    assert status == 130
    assert "kept 1 of 3 runs" in err
    assert len((tmp_path / "sweep" / "sweep.csv").read_text().splitlines()) == 2


def test_a_failing_point_leaves_the_others(jsim):
    grid = ["--grid", "replicas.decode.gpu=h100-80gb,v100-32gb"]
    status, out, err = jsim("sweep", "quickstart", *SHORT, *grid, "--jobs", "1")
    assert status == 0
    assert "failed" in out
    assert "failed: replicas.decode.gpu=v100-32gb: quickstart: replicas.decode.tp" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "Missing argument 'scenario'"),
        (["run", "quikstart"], "did you mean 'quickstart'?"),
        (["run", "quickstart", "--set", "trace.rate=3"], "argument --set: trace.rate: unknown key"),
        (["run", "quickstart", "--set", "trace.rate_per_s=nan"], "expected a finite number"),
        (["run", "quickstart", "--set", "seed"], "expected KEY=VALUE"),
        (["run", "quickstart", "--trace-window", "3"], "expected A:B in seconds"),
        (["run", "quickstart", "--trace-window", "3:1"], "expected from < to"),
        (["run", "quickstart", "--sed", "3"], "No such option"),
        (["run", "quickstart", "--seed", "-3"], "--seed"),
        (["run", "quickstart", "--set", "routing.policy=fastest"], "unknown routing policy"),
        (["run", "quickstart", "--set", "routing.parameters.x=1"], "routing.parameters.x"),
        (["run", "quickstart", "--set", "replicas.decode.tp=2"], "expected GPUs that hold the"),
        (["report", "nowhere"], "nowhere/run.json: file: expected a folder that a run"),
        (["compare", "nowhere"], "expected a scenario file or a name"),
        (["sweep", "quickstart", "--grid", "a"], "expected KEY=a,b or KEY=low:high:step"),
        (["sweep", "quickstart", "--grid", "trace.rat=1,2"], "argument --set: trace.rat: unknown"),
        (["sweep", "quickstart"], "Missing option '--grid'"),
        (["frobnicate"], "No such command"),
    ],
)
def test_bad_input_is_one_line_with_the_mend(jsim, arguments, said):
    status, _, err = jsim(*arguments)
    assert status == 2
    last = err.strip().splitlines()
    assert last[-1].startswith("error: ")
    assert said in last[-1]
    assert "Traceback" not in err


def test_no_arguments_show_the_help(jsim):
    status, out, err = jsim()
    assert status == 2
    assert "Commands" in out + err
    assert jsim("run", "--help")[0] == 0
