"""Records as a table for people."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from loadtests.record import Record


def render(records: Sequence[Record], title: str) -> Table:
    """One row per record, goals beside the figures."""
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("benchmark", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    for name in ("value", "baseline", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("beside")
    table.add_column("goal", justify="right", no_wrap=True)
    table.add_column("met", justify="center")
    table.add_column("rounds", justify="right")
    for record in records:
        table.add_row(
            record.benchmark,
            record.figure,
            number(record.value, record.unit),
            number(record.baseline_value, record.unit),
            "" if record.ratio is None else f"{record.ratio:.2f}",
            record.baseline or "",
            record.goal or "",
            verdict(record.met),
            str(record.rounds),
        )
    return table


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
