"""Goal: what a killed run had finished can be rendered and recorded, round by round and pair by pair."""

from pathlib import Path

import msgspec
import pytest

from loadtests import journal, ledger, report
from loadtests.journal import Journal
from loadtests.mark import FAILED, Mark, Scope
from loadtests.record import Subject
from loadtests.series import OURS, Series
from tests.unit.loadtests.facts import PROVENANCE

SUBJECT = Subject("epoll", "ring", "split")
MARK = Mark(FAILED, "warm", "hello", "ring", "split", 1, "warm-up", "why", "2026-01-02")


def series() -> Series:
    made = Series("warm", SUBJECT)
    for number, ours, bare in ((1, 40, 30), (2, 50, None), (3, 60, 40)):
        made.add(OURS, "latency_us_p50", ours, number)
        if bare is not None:
            made.add("bare", "latency_us_p50", bare, number)
    made.add(OURS, "latency_us_p90", 70, 2)
    made.add("bare", "latency_us_p90", 70, 1)
    return made


def run_of() -> Journal:
    return Journal(
        schema=journal.SCHEMA,
        complete=False,
        seed=7,
        baselines=("bare", "nginx"),
        replaced=(Scope("warm", "epoll", "split"),),
        provenance=PROVENANCE,
        series=journal.values([series()]),
        marks=(MARK,),
        facts={"effort": {"rounds": 5}},
    )


def test_only_rounds_that_both_have_are_compared():
    paired, alone = series().records(("bare", "nginx"), PROVENANCE)
    assert (paired.figure, paired.baseline, paired.rounds) == ("latency_us_p50", "bare", 2)
    assert (paired.value, paired.baseline_value, paired.difference) == (50, 35, 15)
    assert (alone.figure, alone.baseline, alone.rounds) == ("latency_us_p90", None, 1)


def test_what_is_written_is_read(tmp_path: Path):
    journal.write(run_of(), tmp_path)
    found = journal.read(tmp_path)
    assert found == run_of()
    assert found.known == ledger.Known(
        tuple(series().records(("bare", "nginx"), PROVENANCE)), (MARK,)
    )


def test_a_later_round_replaces_the_file_whole(tmp_path: Path):
    journal.write(run_of(), tmp_path)
    journal.write(msgspec.structs.replace(run_of(), complete=True), tmp_path)
    assert journal.read(tmp_path).complete
    assert [path.name for path in tmp_path.iterdir()] == [journal.FILE]


def test_a_killed_run_is_rendered_into_its_folder(tmp_path: Path):
    journal.write(run_of(), tmp_path)
    page = report.write_run(tmp_path, keep=False)
    assert page == tmp_path / "RESULTS.md"
    assert "epoll +15 (50, bare 35, rounds: 2)" in page.read_text()
    assert "| hello | ring | S | 1 | warm-up | why |" in page.read_text()


def test_a_folder_without_a_run_is_told(tmp_path: Path):
    with pytest.raises(ValueError, match="No such file"):
        journal.read(tmp_path)
    (tmp_path / journal.FILE).write_text('{"schema": 1}')
    with pytest.raises(ValueError, match="another version"):
        journal.read(tmp_path)
