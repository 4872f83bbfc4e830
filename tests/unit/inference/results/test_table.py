"""Goal: what a terminal shows is the summary's, whole, and a name cannot steer the terminal."""

import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from inference.results.run import Status
from inference.results.sections import sections_of
from inference.results.summary import summarise
from inference.results.table import print_comparison, print_run
from inference.results.wording import numeral, percent, printable
from tests.support.runs import one_request, run_of, whole, with_status

HOSTILE = "[red]x[/] \x1b[2J\x07 \u202e <script>alert(1)</script> $\\frac$ \ud800"


def shown(run, summary):
    written = io.StringIO()
    console = Console(
        file=written, width=160, force_terminal=True, color_system="standard", no_color=False
    )
    print_run(run, summary, console)
    return written.getvalue()


def test_the_tables_of_a_run():
    run = run_of(300)
    text = shown(run, whole(run))
    for word in ("Requests", "Latency, ms", "Slowdown", "By request class", "By priority"):
        assert word in text
    for word in ("measured", "modelled", "quoted", "warning: latency asked outside"):
        assert word in text
    assert "all figures of a run are modelled" in " ".join(text.split())


def test_origins_look_different():
    run = run_of(1)
    text = shown(run, whole(run))
    codes = {text.partition(f"m{one}")[0][-2:] for one in ("measured", "modelled", "quoted")}
    assert len(codes) == 3


@pytest.mark.parametrize("count", [0, 1, 10_000])
def test_any_number_of_requests_is_shown(count):
    run = run_of(count)
    assert f"{count:,}" in shown(run, whole(run))


def test_a_name_is_text_and_nothing_else():
    run = dataclasses.replace(run_of(3), name=HOSTILE, warnings=(HOSTILE,), pools=(HOSTILE, "b"))
    text = shown(run, whole(run))
    assert "[red]x[/]" in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert "\u202e" not in text


def test_nothing_is_said_of_what_was_not_there():
    titles = [one.title for one in sections_of(summarise(one_request()))]
    assert titles == ["Requests", "Latency, ms", "Energy of GPUs", "By pool"]
    run = with_status(run_of(1), r0=Status.REFUSED)
    latency = sections_of(summarise(run))[1]
    assert latency.rows == ()


def test_broken_objectives_are_marked():
    section = next(one for one in sections_of(whole(one_request())) if one.title == "Slowdown")
    marked = {(row[0], place) for row in section.rows for place, c in enumerate(row) if "over" in c}
    assert marked == {("E2E", 2)}
    assert section.note == "against an uncontended a100; broken: e2e_p50"


def test_rows_are_as_wide_as_their_header():
    for section in sections_of(whole(run_of(100))):
        assert {len(row) for row in section.rows} == {len(section.header)}


def test_a_comparison_tells_ratios():
    written = io.StringIO()
    console = Console(file=written, width=120)
    told = whole(run_of(20))
    print_comparison([told, dataclasses.replace(told, name="b", cost_usd=25.0)], console)
    text = written.getvalue()
    cost = next(line for line in text.splitlines() if "cost_usd" in line)
    assert [cell.strip() for cell in cost.split("│")[1:-1]] == ["cost_usd", "12.50", "25", "2"]
    with pytest.raises(ValueError, match="at least one run"):
        print_comparison([], console)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12, "12"),
        (1234567, "1,234,567"),
        (0.012345, "0.01235"),
        (3.14159, "3.142"),
        (12345.678, "12,346"),
        (0.00001234, "1.234e-05"),
        (float("nan"), "-"),
        (float("inf"), "never"),
        (-2.5, "-2.500"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert numeral(value) == text


def test_shares_are_percent():
    assert percent(0.1234) == "12.34 %"
    assert percent(float("nan")) == "-"


@given(st.floats(-1e300, 1e300))
def test_a_number_is_told_within_its_digits(value):
    told = float(numeral(value).replace(",", ""))
    assert told == pytest.approx(value, rel=6e-4)


@given(st.text(st.characters(), max_size=50))
def test_a_printable_name_is_one_line_that_can_be_written(name):
    safe = printable(name)
    assert len(safe) == len(name)
    safe.encode("utf-8")
    assert safe == "" or len(safe.splitlines()) == 1
