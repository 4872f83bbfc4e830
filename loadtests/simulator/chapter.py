"""The chapter of RESULTS.md: speed by workload, growth by size, and what a whole week would take by extrapolation."""

import math
from collections.abc import Mapping, Sequence

from rich.table import Table

from loadtests.goal_table import mark
from loadtests.mark import Mark
from loadtests.markdown import figure_text, markdown
from loadtests.record import Record
from loadtests.report import Chapter
from loadtests.simulator.workloads import (
    FULL,
    SPLITWISE_SIM,
    WEEK_REQUESTS,
    WEEK_SHARE,
    Workload,
)

BENCHMARK = "simulator"
HEAD = (
    *("subject", "what is simulated", "requests", "events each", "requests per CPU-second"),
    *("with start-up", "peak RSS, MiB", "goal", "met", "splitwise-sim, quoted"),
)
GROWTH_HEAD = ("grows", "from", "to", "CPU µs per request", "ratio", "exponent", "goal", "met")
SIZES = {"machines10": (10, 1000), "machines100": (100, 1000), "minutes2": (2, 20)}
"""From and to, by what the larger run stands beside."""
WORDS = """\
One simulation after the other, each in a process of its own. *requests per CPU-second* is of the run itself; *with start-up*
counts interpreter, imports, trace, results and their audit too. The last column quotes splitwise-sim on the same trace and
cluster on another machine. *exponent* is of CPU time per request in the size: 0 would be cost linear in requests alone, 1
cost linear in requests times machines."""


def table(records: Sequence[Record], _marks: Sequence[Mark] = ()) -> str:
    """Both tables and the extrapolation; what failed stands below them."""
    parts = [markdown(HEAD, rows(records))]
    if grown := growth(records):
        parts.append(markdown(GROWTH_HEAD, grown))
    parts += extrapolated(records)
    return "\n".join(parts)


def shown(records: Sequence[Record], title: str, workloads: Sequence[Workload]) -> list[Table]:
    """The same for a terminal."""
    made = []
    for head, cells, words in (
        (HEAD, rows(records, workloads), title),
        (GROWTH_HEAD, growth(records), "growth"),
    ):
        one = Table(title=words, title_justify="left", header_style="bold")
        for name in head:
            one.add_column(name, justify="left" if name == head[0] else "right")
        for row in cells:
            one.add_row(*(cell.replace("`", "").replace("**", "") for cell in row))
        made.append(one)
    return made


def rows(records: Sequence[Record], workloads: Sequence[Workload] = FULL) -> list[list[str]]:
    """One row per subject, the larger run of those that grow."""
    made = []
    for one in workloads:
        known = _figures(records, one.subject)
        if known and not one.target:
            made.append(_row(one.subject, one.words, known))
    return made


def _figures(records: Sequence[Record], subject: str) -> Mapping[str, Record]:
    return {one.figure: one for one in records if one.subject == subject}


def _row(subject: str, words: str, known: Mapping[str, Record]) -> list[str]:
    goals = [one for one in known.values() if one.goal and one.baseline is None]
    return [
        f"`{subject}`",
        words,
        _value(known.get("requests_count")),
        _value(known.get("events_per_request_count")),
        _value(known.get("requests_per_cpu_s"), spread=True),
        _value(known.get("whole_requests_per_cpu_s")),
        _value(known.get("peak_rss_mib")),
        "; ".join(f"`{one.figure}` {one.goal}" for one in goals),
        mark([one.met for one in goals]) if goals else "",
        figure_text(SPLITWISE_SIM.get(subject)),
    ]


def _value(record: Record | None, *, spread: bool = False) -> str:
    if record is None:
        return ""
    value = figure_text(record.value)
    if spread:
        value += f" [{figure_text(record.least)}..{figure_text(record.most)}]"
    return value


def growth(records: Sequence[Record]) -> list[list[str]]:
    """What a request costs in a larger run beside a smaller one of the same rounds."""
    made = []
    for one in records:
        if one.figure == "cpu_us_per_request" and one.baseline in SIZES and one.ratio:
            small, large = SIZES[one.baseline]
            made.append(
                [
                    one.subject,
                    f"{small:,}",
                    f"{large:,}",
                    f"{figure_text(one.baseline_value)} to {figure_text(one.value)}",
                    f"{one.ratio:.2f}",
                    f"{exponent(one.ratio, large / small):.2f}",
                    one.goal or "",
                    mark([one.met]) if one.goal else "",
                ]
            )
    return made


def exponent(ratio: float, growth_of_size: float) -> float:
    """x where cost per request grows as size to the power of x."""
    return math.log(ratio) / math.log(growth_of_size)


def extrapolated(records: Sequence[Record]) -> list[str]:
    """What all requests of the week would take if cost and memory go on as measured; nothing where it was not."""
    week, small = _figures(records, "week"), _figures(records, "whole-compat")
    speed, rss, count = (
        week.get(name) for name in ("requests_per_cpu_s", "peak_rss_mib", "requests_count")
    )
    base, few = small.get("peak_rss_mib"), small.get("requests_count")
    if not (speed and rss and count and base and few) or count.value <= few.value:
        return []
    per_request = (rss.value - base.value) / (count.value - few.value) * 2**20
    gib = (per_request * WEEK_REQUESTS + base.value * 2**20) / 2**30
    minutes = WEEK_REQUESTS / speed.value / 60
    return [
        f"Extrapolated, not measured: all {WEEK_REQUESTS / 1e6:.1f} million requests of the week at the speed of its "
        f"{WEEK_SHARE:.0%} would take {minutes:.0f} minutes of CPU time (before what more machines add, see growth), and at "
        f"its {per_request:.0f} bytes per request {gib:.1f} GiB.\n"
    ]


CHAPTER = Chapter("Simulator", (BENCHMARK,), WORDS, table=table)
