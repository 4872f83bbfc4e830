"""`jsim sweep`: a grid of runs over all cores, with their rows kept whatever happens."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.table import Table
from rich.text import Text

from inference.cli.session import announce, err, out, pieces_done, print_json, warn
from inference.scenarios.loader import load
from inference.sweep.grid import Axis, axis_of, overrides_of, points_of
from inference.sweep.processes import Processes
from inference.sweep.rows import Row, columns_of, write_rows
from inference.sweep.work import Outcome, Task, outcome_of

SHOWN = ("ttft_ms_p50", "ttft_ms_p99", "tbt_ms_p99", "e2e_ms_p99", "throughput_rps")


def sweep(
    scenario: str,
    overrides: Sequence[str],
    grid: Sequence[str],
    folder: Path,
    jobs: int,
    *,
    as_json: bool,
) -> None:
    """Run every point of a grid; Ctrl-C keeps the finished rows."""
    axes = [axis_of(text) for text in grid]
    points = points_of(axes)
    base = load(scenario, overrides)
    announce(base.name, base.seed, as_json=as_json)
    tasks = [Task(scenario, (*overrides, *overrides_of(point))) for point in points]
    for task in tasks:
        # A wrong key or value is said before hours are spent on the others.
        load(task.scenario, task.overrides)
    outcomes: dict[int, Outcome] = {}
    interrupted = False
    with pieces_done("runs", len(tasks)) as advance:

        def done(index: int, outcome: Outcome) -> None:
            outcomes[index] = outcome
            advance(1)

        try:
            with Processes(outcome_of, jobs) as processes:
                processes.run(tasks, done)
        except KeyboardInterrupt:
            interrupted = True
    rows = [_row(points[index], outcomes[index]) for index in sorted(outcomes)]
    paths = write_rows(rows, axes, folder)
    if as_json:
        print_json(msgspec.json.encode(columns_of(rows)).decode())
    else:
        out.print(_table(rows, axes))
        for path in paths:
            out.print(Text(f"wrote {path}"))
    if interrupted:
        warn(f"interrupted: kept {len(rows)} of {len(points)} runs")
        raise KeyboardInterrupt
    for row in rows:
        if row.error:
            point = ", ".join(f"{key}={value}" for key, value in row.point)
            err.print(Text.assemble(("failed: ", "bold red"), f"{point}: {row.error}"))


def _row(point: tuple[tuple[str, bool | int | float | str], ...], outcome: Outcome) -> Row:
    return Row(point, outcome.figures, outcome.held, outcome.error)


def _table(rows: Sequence[Row], axes: Sequence[Axis]) -> Table:
    table = Table(title=Text("Sweep"), title_justify="left", title_style="bold")
    for axis in axes:
        table.add_column(Text(axis.key), justify="right")
    for name in (*SHOWN, "objectives"):
        table.add_column(name, justify="right")
    words = {True: "hold", False: "broken", None: ""}
    table.caption = "simulated: all figures are modelled"
    for row in rows:
        figures = [f"{row.figures[name]:,.4g}" if name in row.figures else "" for name in SHOWN]
        verdict = "failed" if row.error else words[row.held]
        table.add_row(*(Text(str(value)) for _, value in row.point), *figures, verdict)
    return table
