"""A run, or several side by side, as one HTML file that needs no network and holds no script.

The same result makes the same bytes. Every foreign name is escaped; a policy in the page's head
forbids whatever an overlooked one could load or run.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path

from inference.errors import InputError
from inference.models.provenance import Origin, Provenance
from inference.results.comparison import compare
from inference.results.plots import (
    Plot,
    active_tokens_plot,
    class_plots,
    group_plots,
    latency_plots,
    power_plot,
    series_plots,
)
from inference.results.run import RunResult
from inference.results.sections import Section, comparison_section, sections_of
from inference.results.summary import Summary, summarise
from inference.results.svg import SERIES_MAX
from inference.results.timings import completed
from inference.results.wording import SIMULATED, numeral, printable

COLUMNS_MAX = 6  # of a table that fits beside another

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
"""
_MEANINGS = {
    Origin.MEASURED: "run on that hardware",
    Origin.MODELLED: "computed from other figures by stated assumptions",
    Origin.QUOTED: "printed in a paper or data sheet, not checked",
}


def report_html(run: RunResult, summary: Summary | None = None) -> str:
    """One run: facts, warnings, where its figures come from, tables and plots.

    Args:
        run: what to report.
        summary: its figures, where the caller has them (with objectives, carbon and cost); else
            made here without.
    """
    told = summary or summarise(run)
    facts = {
        "seed": str(run.seed),
        "simulated": f"{numeral(told.duration_s)} s",
        "requests": numeral(told.requests),
        **run.facts,
    }
    parts = [
        _heading(run.name, facts),
        _warnings(run.warnings),
        _provenance(run.provenance.items()),
        *_tables(sections_of(told)),
        _grid(_figure(plot) for plot in _plots(run, told)),
    ]
    return _page(run.name, parts)


def compare_html(
    runs: Sequence[RunResult], summaries: Sequence[Summary] = (), *, title: str = "Comparison"
) -> str:
    """Runs side by side: figures with ratios to the first, and their distributions over each other.

    Args:
        runs: at least one; beyond eight the plots show the first eight, the tables all.
        summaries: of the runs in the same order, where the caller has them.
        title: of the page.

    Raises:
        ValueError: there are no runs, or not as many summaries as runs.
    """
    told = list(summaries) or [summarise(run) for run in runs]
    if not runs or len(told) != len(runs):
        raise ValueError("a comparison is of at least one run, with one summary for each or none")
    names = _distinct([run.name for run in runs])
    named = [replace(one, name=name) for one, name in zip(told, names, strict=True)]
    timings = {name: completed(run.requests) for name, run in zip(names, runs, strict=True)}
    series = {
        name: run.series for name, run in zip(names, runs, strict=True) if run.series is not None
    }
    power = power_plot(series)
    plots = (*latency_plots(timings), *((power,) if power else ()))
    facts = {name: f"seed {run.seed}" for name, run in zip(names, runs, strict=True)}
    warnings = [
        f"{name}: {warning}"
        for name, run in zip(names, runs, strict=True)
        for warning in run.warnings
    ]
    sources = {item: None for run in runs for item in run.provenance.items()}
    parts = [
        _heading(title, facts),
        _warnings(warnings),
        _table(comparison_section(compare(*named))),
        _grid(_figure(plot) for plot in plots),
        _provenance(sources),
    ]
    return _page(title, parts)


def write_html(path: Path, page: str) -> None:
    """Write a page to a file, its folder made if need be.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as refused:
        raise InputError(str(path), "file", f"expected one to write to: {refused}") from None


def _page(title: str, parts: Sequence[str]) -> str:
    style = files("inference.results").joinpath("report.css").read_text(encoding="utf-8")
    head = _HEAD.format(title=_text(title), style=style)
    return head + "\n".join(part for part in parts if part) + "\n</body>\n</html>\n"


def _plots(run: RunResult, summary: Summary) -> Iterator[Plot]:
    yield from latency_plots({run.name: completed(run.requests)})
    yield from series_plots(run)
    tokens = active_tokens_plot(run)
    if tokens:
        yield tokens
    if summary.attainment:
        yield from class_plots(summary.attainment.classes)
    yield from group_plots(summary.priorities, "priority")
    yield from group_plots(summary.models, "model")


def _heading(title: str, facts: dict[str, str]) -> str:
    items = "".join(
        f"<li>{_text(name)} <b>{_text(value)}</b></li>" for name, value in facts.items()
    )
    return f'<h1>{_text(title)}</h1>\n<ul class="facts">{items}</ul>'


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{_text(one)}</li>" for one in warnings)
    return f'<div class="warnings"><h2>Warnings</h2><ul>{items}</ul></div>'


def _provenance(sources: Iterable[tuple[str, Provenance]]) -> str:
    rows = "".join(
        f"<tr><td>{_text(name)}</td>"
        f'<td><span class="origin {one.origin.value}">{one.origin.value}</span></td>'
        + "".join(f"<td>{_text(x)}</td>" for x in (one.by, one.on, one.when, one.source, one.note))
        + "</tr>"
        for name, one in sorted(sources, key=lambda item: item[0])
    )
    if not rows:
        return ""
    header = "".join(
        f"<th>{column}</th>"
        for column in ("profile", "origin", "by", "on", "when", "source", "note")
    )
    meanings = "; ".join(f"{origin.value}: {meaning}" for origin, meaning in _MEANINGS.items())
    return (
        '<section><h2>Where figures come from</h2><div class="scroll"><table class="text">'
        f"<thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="note">{meanings}. {SIMULATED.capitalize()}.</p></section>'
    )


def _tables(sections: Sequence[Section]) -> Iterator[str]:
    """Narrow tables in columns, then each wide one over the whole page."""
    narrow = [_table(one) for one in sections if len(one.header) <= COLUMNS_MAX]
    yield '<div class="columns">\n' + "\n".join(narrow) + "\n</div>"
    yield from (_table(one) for one in sections if len(one.header) > COLUMNS_MAX)


def _table(section: Section) -> str:
    header = "".join(f"<th>{_text(column)}</th>" for column in section.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>"
        for row in section.rows
    )
    note = f'<p class="note">{_text(section.note)}</p>' if section.note else ""
    return (
        f'<section><h2>{_text(section.title)}</h2><div class="scroll"><table>'
        f"<thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>{note}</section>"
    )


def _figure(plot: Plot) -> str:
    shown = plot.legend[:SERIES_MAX]
    items = "".join(
        f'<li><i style="background:var(--series-{place})"></i>{_text(name)}</li>'
        for place, name in enumerate(shown)
    )
    legend = f'<ul class="legend">{items}</ul>' if shown else ""
    hidden = len(plot.legend) - len(shown)
    note = plot.note + (f" {hidden} more are not drawn." if hidden else "")
    noted = f'<p class="note">{_text(note.strip())}</p>' if note else ""
    return (
        f"<section><h2>{_text(plot.title)}</h2>{legend}"
        f'<figure role="img" aria-label="{_text(plot.title)}">{plot.svg}</figure>{noted}</section>'
    )


def _grid(parts: Iterable[str]) -> str:
    inside = "\n".join(parts)
    return f'<div class="grid">\n{inside}\n</div>' if inside else ""


def _distinct(names: Sequence[str]) -> list[str]:
    """Names as they are, with a number behind those that come again."""
    known: set[str] = set()
    distinct = []
    for name in names:
        unique, again = name, 1
        while unique in known:
            again += 1
            unique = f"{name} ({again})"
        known.add(unique)
        distinct.append(unique)
    return distinct


def _text(name: str) -> str:
    return escape(printable(name), quote=True)
