"""Records as a table for people."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from loadtests import pivot
from loadtests.goal_table import failed_of, findings_text, mark
from loadtests.mark import DISTURBED, Mark
from loadtests.placement import Placement
from loadtests.record import Record
from loadtests.verdicts import Verdict


def render(records: Sequence[Record], title: str) -> Table:
    """One row per record, goals beside the figures."""
    table = _table(title)
    for name in ("benchmark", "function", "by", "on", "figure"):
        table.add_column(name, no_wrap=True)
    for name in ("value", "baseline", "difference", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("beside")
    table.add_column("goal", justify="right", no_wrap=True)
    table.add_column("met", justify="center")
    for record in records:
        table.add_row(
            record.benchmark,
            record.subject,
            record.attachment,
            Placement(record.placement).letter if record.placement else "",
            record.figure,
            number(record.value, record.unit),
            number(record.baseline_value, record.unit),
            number(record.difference, ""),
            "" if record.ratio is None else f"{record.ratio:.2f}",
            record.baseline or "",
            record.goal or "",
            verdict(record.met),
        )
    return table


def warm(records: Sequence[Record], found: Sequence[Mark] = ()) -> Table:
    """The warm figures, a row for each function, attachment and placement (`loadtests.pivot`)."""
    table = _table("warm invocations beside bare and nginx")
    for number_, title in enumerate(pivot.HEAD):
        table.add_column(title, justify="left" if number_ < 3 else "right", no_wrap=number_ < 3)
    shown = [one for one in records if one.benchmark in pivot.BENCHMARKS]
    for row in pivot.rows(shown, found):
        table.add_row(*row)
    return table


def others(records: Sequence[Record]) -> Table:
    """One row per record that no warm table shows."""
    shown = [one for one in records if one.benchmark not in pivot.BENCHMARKS]
    return render(shown, "cold starts, memory, rings")


def goal_rows(verdicts: Iterable[Verdict], title: str, found: Sequence[Mark] = ()) -> Table:
    """The table of goals: a row for each, with a line for each of its bounds."""
    table = _table(title)
    for name in ("figure", "by", "on", "goal", "stretch"):
        table.add_column(name, no_wrap=name in ("by", "on"))
    table.add_column("measured")
    table.add_column("met", justify="center")
    for one in verdicts:
        for number_, bound in enumerate(one.goal.bounds):
            mine = [finding for finding in one.findings if finding.bound == bound]
            table.add_row(
                one.goal.words if number_ == 0 else "",
                bound.attachment,
                Placement(bound.placement).letter if bound.placement else "",
                f"{bound.figure} {bound}",
                bound.text(bound.stretch),
                findings_text(mine, failed_of(one.goal, bound, found)),
                _word(mark([finding.met for finding in mine])),
                end_section=number_ == len(one.goal.bounds) - 1,
            )
    return table


def marks(found: Sequence[Mark]) -> Table:
    """What failed and what was disturbed, failures first."""
    made = _table("failed or disturbed")
    for name in ("kind", "section", "function", "target", "on", "round", "step"):
        made.add_column(name, no_wrap=name != "step")
    made.add_column("why")
    for one in sorted(found, key=lambda one: one.kind == DISTURBED):
        made.add_row(
            Text(one.kind, "yellow" if one.kind == DISTURBED else "bold red"),
            one.benchmark,
            one.subject,
            one.target,
            Placement(one.placement).letter if one.placement else "",
            str(one.round or ""),
            one.step,
            Text(one.words),
        )
    return made


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", header_style="bold")


def _word(text: str) -> Text:
    styles = {"yes": "bold green", "**no**": "bold red"}
    return Text(text.strip("*"), style=styles.get(text, "dim"))


def number(value: float | None, unit: str) -> str:
    """A value with three significant digits and its unit; empty where there is none."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f} {unit}"
    return f"{value:.3g} {unit}"


def verdict(met: bool | None) -> Text:
    """Whether a goal is reached, as a coloured word."""
    if met is None:
        return Text("")
    return Text("yes", style="bold green") if met else Text("no", style="bold red")
