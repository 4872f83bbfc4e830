"""A run's folder: its tables, the scenario that made it, and its report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import InputError
from inference.results.parquet import read_run, write_run
from inference.results.run import RunResult
from inference.results.summary import Summary, summarise
from inference.scenarios.loader import from_values
from inference.scenarios.objectives import summary_of

SCENARIO = "scenario.json"
REPORT = "report.html"
TRACE = "trace.json"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A run with its figures."""

    run: RunResult
    summary: Summary


def keep(run: RunResult, values: Mapping[str, Any], folder: Path) -> None:
    """Write a run and its scenario's tables.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    write_run(run, folder)
    (folder / SCENARIO).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def reread(folder: Path) -> Kept:
    """Read a run back; objectives are those of the scenario in the folder, none where there is none.

    Raises:
        InputError: it is no folder of a run, or damaged.
    """
    run = read_run(folder)
    path = folder / SCENARIO
    if not path.exists():
        return Kept(run, summarise(run))
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(str(path), "file", f"expected JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError(str(path), "file", "expected a JSON object")
    return Kept(run, summary_of(from_values(values, str(path)), run))


def write_page(runs: Sequence[Kept], path: Path, title: str) -> Path:
    """Write a run's page, or that of several beside each other; returns where.

    Args:
        runs: at least one; the first of several is what ratios are against.
        path: of the page.
        title: of a comparison.

    Raises:
        InputError: the file cannot be written.
    """
    # Pages draw plots, and what draws them takes a second to import that most commands do without.
    from inference.results.html import compare_html, report_html, write_html

    if len(runs) == 1:
        page = report_html(runs[0].run, runs[0].summary)
    else:
        page = compare_html([one.run for one in runs], [one.summary for one in runs], title=title)
    write_html(path, page)
    return path
