"""Goal: a run that lost something says so by its exit status, after it has shown and kept everything else."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from loadtests import bench, journal, neighbours
from loadtests.failure import Place
from loadtests.record import Subject
from loadtests.series import OURS, Series
from loadtests.session import Session
from loadtests.warm_figures import WarmFigures

PLACE = Place("warm", "hello", "ring", "split")


def measured(session: Session) -> None:
    series = Series("warm", Subject("epoll", "ring", "split"))
    series.add(OURS, "latency_us_p50", 40)
    series.add("bare", "latency_us_p50", 30)
    session.others.append(series)
    session.visits.append(WarmFigures(session.placements[0]))


def broken(session: Session) -> None:
    measured(session)
    session.attempts.run(PLACE, "open loop", divide)


def divide() -> None:
    _ = 1 // 0


def killed(session: Session) -> None:
    measured(session)
    raise KeyboardInterrupt


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(journal, "RAW", tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, measure) -> tuple[int, str]:
    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(neighbours, "look", list)
    done = CliRunner().invoke(bench.app, ["--no-record", "--seed", "1"])
    return done.exit_code, done.output


def only_run(raw: Path) -> journal.Journal:
    (folder,) = raw.iterdir()
    return journal.read(folder)


def test_a_whole_run_ends_well(monkeypatch: pytest.MonkeyPatch, raw: Path):
    status, output = run(monkeypatch, measured)
    assert status == 0
    assert "epoll +10 (40, bare 30, rounds: 1)" in " ".join(output.split())
    assert only_run(raw).complete


def test_a_failed_cell_is_shown_and_is_the_exit_status(monkeypatch: pytest.MonkeyPatch, raw: Path):
    status, output = run(monkeypatch, broken)
    assert status == 1
    shown = " ".join(output.split())
    assert "ZeroDivisionError at test_bench.py" in shown
    assert "epoll +10 (40, bare 30, rounds: 1)" in shown
    found = only_run(raw)
    assert (found.complete, [mark.subject for mark in found.marks]) == (True, ["hello"])


def test_an_interrupted_run_keeps_its_rounds_and_says_how_to_see_them(
    monkeypatch: pytest.MonkeyPatch, raw: Path
):
    status, output = run(monkeypatch, killed)
    assert status != 0
    assert "python -m loadtests.report" in output
    found = only_run(raw)
    assert not found.complete
    assert [one.figure for one in found.known.records] == ["latency_us_p50"]
