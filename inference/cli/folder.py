"""A run's folder: its tables, the scenario that made it, and its report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import InputError
from inference.results.html import report_html, write_html
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
    """A run that was read back, with its figures."""

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


def write_report(run: RunResult, summary: Summary, path: Path) -> Path:
    """Write a run's page; returns where.

    Raises:
        InputError: the file cannot be written.
    """
    write_html(path, report_html(run, summary))
    return path
