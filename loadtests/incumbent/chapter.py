"""The chapter of RESULTS.md: a row for each figure, a column for each system, faasd's own quoted figures apart."""

import re
from collections.abc import Sequence

from rich.table import Table

from loadtests.goal_table import mark
from loadtests.incumbent import plots
from loadtests.incumbent.openfaas import CACHED, STOCK
from loadtests.incumbent.quoted import FAASD
from loadtests.mark import Mark
from loadtests.markdown import figure_text, markdown
from loadtests.record import Record
from loadtests.report import Chapter, Plot

BENCHMARK = "faasd"
COLUMNS = ("bare", "nginx", "openfaas-cached-plain", CACHED, STOCK)
HEAD = (
    *("figure", "junctiond", *COLUMNS),
    *("ours / cached", "ours / stock", "goal", "met", "faasd cached, quoted", "faasd, quoted"),
)
ORDER = ("latency", "fresh", "rps", "cpu", "open", "failed", "launch", "deploy", "platform")
HIDDEN = ("unsent_count", "failed_count", "refused_count")
"""Figures that are shown only where they are not zero everywhere."""
WORDS = """\
The systems serve the same 600-byte `aes` in the same rounds. *openfaas* is the real OpenFaaS gateway before a provider of
ours on containerd, runc and a CNI bridge, set up as faasd ships it; *openfaas-cached* is the same without any look-up;
*-plain* is that without a watchdog before the function. **None of them is faasd**: no version of it under the MIT licence
can be fetched. [incumbent/README.md](incumbent/README.md) lists what is real and what is ours; where they differ, the stand-in
does less than faasd. The last two columns quote what the real faasd did on another machine on another day. Nothing
is pinned from outside, on either side. *open* figures are at a share of each system's own peak, counted from when a request
was due."""


def table(records: Sequence[Record], _marks: Sequence[Mark] = ()) -> str:
    """One row per figure; what failed stands below it."""
    return markdown(HEAD, rows(records))


def shown(records: Sequence[Record], title: str) -> Table:
    """The same for a terminal, without the words of the goals: those that are missed stand below the table."""
    made = Table(title=title, title_justify="left", header_style="bold")
    kept = [column for column, name in enumerate(HEAD) if name != "goal"]
    for column in kept:
        left = HEAD[column] == "figure"
        made.add_column(HEAD[column], justify="left" if left else "right", no_wrap=left)
    for cells in rows(records):
        made.add_row(*(cells[column].replace("`", "").replace("**", "") for column in kept))
    return made


def rows(records: Sequence[Record]) -> list[list[str]]:
    """One row per figure that says anything."""
    figures = sorted({one.figure for one in records}, key=reading_order)
    made = [row(figure, [one for one in records if one.figure == figure]) for figure in figures]
    return [cells for cells in made if cells]


def reading_order(figure: str) -> tuple[int, list[int], str]:
    """Groups of figures as `ORDER` has them, numbers in their names by size."""
    group = next((at for at, start in enumerate(ORDER) if figure.startswith(start)), len(ORDER))
    return group, [int(number) for number in re.findall(r"\d+", figure)], figure


def row(figure: str, records: Sequence[Record]) -> list[str]:
    """One figure of all systems; empty where it says only that nothing happened."""
    beside = {one.baseline: one for one in records}
    if figure.endswith(HIDDEN) and not any(one.value or one.baseline_value for one in records):
        return []
    goals = [one for one in records if one.goal]
    return [
        f"`{figure}`",
        f"{figure_text(records[0].value)} {records[0].unit}".rstrip(),
        *(_value(beside.get(name)) for name in COLUMNS),
        *(_ratio(beside.get(name)) for name in (CACHED, STOCK)),
        "; ".join(one.goal or "" for one in goals),
        mark([one.met for one in goals]) if goals else "",
        *(figure_text(FAASD[name].get(figure)) for name in (CACHED, STOCK)),
    ]


def _value(record: Record | None) -> str:
    return "" if record is None else figure_text(record.baseline_value)


def _ratio(record: Record | None) -> str:
    """Ours to theirs, and the other way round where we are below, as people say it: 1 / 120."""
    if record is None or not record.ratio or record.ratio < 0:
        return ""
    ratio = record.ratio
    return f"1 / {figure_text(1 / ratio)}" if ratio < 1 else figure_text(ratio)


CHAPTER = Chapter(
    "Beside the stack it replaces",
    (BENCHMARK,),
    WORDS,
    (
        Plot(plots.LATENCY, "Latency distribution of one invocation after the other"),
        Plot(plots.RATES, "Invocations per second by connections"),
        Plot(plots.OPEN, "Open loops: p99 by load"),
    ),
    table,
)
