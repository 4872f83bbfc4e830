"""A run's summary in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inference.models.provenance import Origin
from inference.results.comparison import compare
from inference.results.run import RunResult
from inference.results.sections import Section, comparison_section, sections_of
from inference.results.summary import Summary
from inference.results.wording import SIMULATED, printable

_ORIGIN_STYLES = {Origin.MEASURED: "green", Origin.MODELLED: "yellow", Origin.QUOTED: "magenta"}


def print_run(run: RunResult, summary: Summary, console: Console) -> None:
    """Print all tables of a run, where its figures come from, and its warnings."""
    console.print(Text(f"{printable(run.name)}  seed {run.seed}", style="bold"))
    for section in sections_of(summary):
        console.print(section_table(section))
    if run.provenance:
        console.print(provenance_table(run))
    for warning in run.warnings:
        console.print(Text(f"warning: {printable(warning)}", style="yellow"))


def print_comparison(summaries: Sequence[Summary], console: Console) -> None:
    """Print runs side by side, ratios to the first.

    Raises:
        ValueError: there are none.
    """
    if not summaries:
        raise ValueError("a comparison is of at least one run")
    console.print(section_table(comparison_section(compare(*summaries))))


def section_table(section: Section) -> Table:
    """A section as a table of rich. Every cell is plain text: names are no markup."""
    table = Table(title=Text(section.title), title_justify="left", title_style="bold")
    if section.note:
        table.caption = Text(section.note)
        table.caption_justify = "left"
    for place, column in enumerate(section.header):
        table.add_column(Text(column), justify="right" if place else "left", overflow="fold")
    for row in section.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def provenance_table(run: RunResult) -> Table:
    """Which profiles were used, and whether each was measured, modelled or quoted."""
    table = Table(title=Text("Where figures come from"), title_justify="left", title_style="bold")
    for column in ("profile", "origin", "by", "on", "when", "source"):
        table.add_column(column, overflow="fold")
    for name, one in sorted(run.provenance.items()):
        table.add_row(
            Text(printable(name)),
            Text(one.origin, style=_ORIGIN_STYLES[one.origin]),
            *(Text(printable(part)) for part in (one.by, one.on, one.when, one.source)),
        )
    table.caption = Text(SIMULATED)
    return table
