"""Goal: everything recorded can be read on the generated page, and nothing else is there."""

import re
from pathlib import Path

from loadtests import pivot, record, table
from loadtests.chapters import CHAPTERS
from loadtests.goal_table import goals_table
from loadtests.ledger import Known
from loadtests.machine import Machine
from loadtests.mark import DISTURBED, FAILED, Mark
from loadtests.markdown import markdown
from loadtests.record import Provenance, Subject
from loadtests.report import Chapter, Plot, render

MACHINE = Machine("cpu | one", 2, 1024, "6.1", "Debian", "v2", "wrk", 0.01, 0.5, 0.1)
PROVENANCE = Provenance("0123456789ab", MACHINE, "2026-01-02T03:04:05+00:00")
RING = Subject("epoll", "ring", "split")


def records() -> list[record.Record]:
    def made(benchmark, subject, figure, unit, ours, baseline="", beside=()):
        return record.make(
            *(benchmark, subject, figure, unit, ours, PROVENANCE),
            baseline=baseline or None,
            baseline_values=beside,
        )

    return [
        made("warm", RING, "latency_us_p50", "us", [40, 41], "bare", [30, 31]),
        made("warm", RING, "latency_us_p50", "us", [40, 41], "nginx", [80, 81]),
        made("warm", RING, "rps_c8", "1/s", [81000, 80000], "bare", [90000, 89000]),
        made("open", RING, "open75_latency_ms_p99", "ms", [1.2]),
        made("memory", Subject("aes", "", "own"), "platform_mib_per_replica", "MiB", [3.5]),
    ]


def test_page_has_goals_chapters_and_machines(tmp_path: Path):
    (tmp_path / "hop.png").touch()
    page = render(Known(tuple(records())), CHAPTERS, tmp_path)
    assert re.search(r"p50.*\| S \| <= bare \+ 15 us \| <= bare \+ 10 us \|.*epoll \+10", page)
    assert "epoll +10 (40.5, bare 30.5, nginx 80.5, rounds: 2)" in page
    assert "; not measured: hello, asyncio, node-hello, nginx, aes |" in page
    assert "**no**" in page  # memory
    assert "![What the platform adds to the bare function](results/hop.png)" in page
    assert "latency.png" not in page
    assert "0123456789ab" in page
    assert "Cold starts\n" not in page  # nothing measured, no chapter


def test_a_chapter_without_a_table_of_its_own_shows_every_record(tmp_path: Path):
    chapters = (Chapter("All", ("memory",), "words", (Plot("no.png", "nothing"),)),)
    page = render(Known(tuple(records())), chapters, tmp_path)
    assert (
        "| aes | P | `platform_mib_per_replica` | 3.5 [3.5..3.5] MiB | <= 1 MiB | **no** |" in page
    )


def test_cells_cannot_break_a_table():
    assert markdown(("a",), [["x | y"]]) == "| a |\n|---|\n| x \\| y |\n"


def test_pivot_has_a_row_per_function_attachment_and_placement():
    (row,) = pivot.rows(one for one in records() if one.benchmark in pivot.BENCHMARKS)
    shown = dict(zip(pivot.HEAD[:4], row[:4], strict=True))
    assert shown == {"function": "epoll", "by": "ring", "on": "S", "p50 µs": "40.5"}
    assert row[5:7] == ["10", "80.5"]
    assert row[-2:] == ["1.2", ""]


def test_tables_of_the_console():
    assert table.warm(records()).row_count == 1
    assert table.others(records()).row_count == 1
    bounds = sum(len(verdict.goal.bounds) for verdict in record.judge([]))
    assert table.goal_rows(record.judge(records()), "goals").row_count == bounds


def test_every_benchmark_with_a_goal_has_a_chapter():
    shown = {benchmark for chapter in CHAPTERS for benchmark in chapter.benchmarks}
    assert {verdict.goal.benchmark for verdict in record.judge([])} - shown <= {"faasd"}


def failure(subject: str, target: str, kind: str = FAILED) -> Mark:
    words = "3 failures beside 0 invocations"
    where = ("warm", subject, target, "split")
    return Mark(kind, *where, 2, "closed loop with 8", words, "2026-01-02T03:04:05+00:00")


def test_a_failed_cell_is_shown_with_its_reason(tmp_path: Path):
    marks = (failure("hello", "ring"), failure("epoll", "ring"), failure("aes", "bare", DISTURBED))
    page = render(Known(tuple(records()), marks), CHAPTERS, tmp_path)
    assert "| hello | ring | S | failed |" in page
    assert re.search(r"p50.*epoll \+10.*; failed: hello; not measured: asyncio,", page)
    assert "| hello | ring | S | 2 | closed loop with 8 | 3 failures beside 0" in page
    assert "Disturbed visits: 1" in page
    assert table.warm(records(), marks).row_count == 2
    assert table.marks(marks).row_count == 3


def test_a_failed_placement_fails_all_its_functions():
    row = next(
        line
        for line in goals_table(record.judge([]), [failure("", "")]).splitlines()
        if "`rps_c8` | ring" in line
    )
    assert "| failed: hello, asyncio, node-hello, nginx, epoll, aes |" in row
