"""Runs a row scenario and says what it came to; draws a day of it where asked.

    python -m inference.row SCENARIO [--policy NAME] [--add PERCENT] [--days N] [--seed N] [--day N --svg FILE]

SCENARIO is a file, or the name of a shipped one (polca-provisioned, polca-plus30, polca-plus30-no-cap, …).
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from inference.domain.request import Priority
from inference.errors import InferenceError
from inference.row.impact import brake_delays_s, impact
from inference.row.plot import day_svg
from inference.row.result import RowRun
from inference.row.scenario import POLICIES, RowScenario, load_row, power_policy, shipped_row
from inference.row.server import bloom_server
from inference.row.simulator import simulate

DAYS_MAX = 366.0


def main(
    scenario: Annotated[str, typer.Argument(help="file, or name of a shipped row scenario")],
    policy: Annotated[
        str, typer.Option(help=f"instead of the scenario's: {', '.join(POLICIES)}")
    ] = "",
    add: Annotated[
        float | None,
        typer.Option(min=-90.0, max=1000.0, help="servers over the provisioned ones, in percent"),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0.0, max=DAYS_MAX, help="instead of the scenario's; 0: its own")
    ] = 0,
    seed: Annotated[int, typer.Option(min=-1, help="instead of the scenario's; -1: its own")] = -1,
    day: Annotated[int, typer.Option(min=0, help="that is drawn, counted from 0")] = 0,
    svg: Annotated[Path | None, typer.Option(help="where the day is drawn to")] = None,
) -> None:
    """Simulate a row under a power policy, and the same row without any limit to compare with."""
    errors = Console(stderr=True)
    try:
        row = _adjusted(_found(scenario), policy, add, days, seed)
        profile = bloom_server()
        errors.print(f"{row.name}: {row.servers} servers, {row.days:g} days, seed {row.seed} …")
        run = simulate(row, profile, power_policy(row))
        free = simulate(row, profile, None)
        drawn = day_svg(run, day) if svg is not None else ""
    except (InferenceError, ValueError) as wrong:
        errors.print(str(wrong), style="red", markup=False)
        raise typer.Exit(2) from None
    Console().print(_table(run, free))
    if svg is not None:
        try:
            svg.write_text(drawn, encoding="utf-8")
        except OSError as wrong:
            errors.print(f"--svg: expected a file to write to: {wrong}", style="red", markup=False)
            raise typer.Exit(2) from None
        errors.print(f"drew day {day} to {svg}", markup=False)


def _found(scenario: str) -> RowScenario:
    path = Path(scenario)
    return load_row(path) if path.is_file() else shipped_row(path.name.removesuffix(".toml"))


def _adjusted(
    row: RowScenario, policy: str, add: float | None, days: float, seed: int
) -> RowScenario:
    if add is not None:
        row = row.oversubscribed(add / 100.0)
    return replace(
        row,
        policy=policy or row.policy,
        days=days or row.days,
        seed=row.seed if seed < 0 else seed,
    )


def _table(run: RowRun, free: RowRun) -> Table:
    power, limit_kw = run.statistics(), run.row.provisioned_w / 1000
    held, _ = brake_delays_s(run)
    title = f"{run.row.name} under {run.policy}: {run.row.servers} servers on {limit_kw:.0f} kW"
    table = Table(title=title, caption=f"{run.provenance.origin}: {run.provenance.note}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in (
        ("peak power", f"{power.peak:.1%} of the limit"),
        ("mean power", f"{power.mean:.1%}"),
        ("largest rise in 2 s, in 40 s", f"{power.rise_2s:.1%}, {power.rise_40s:.1%}"),
        ("power brakes", str(run.brakes)),
        ("from overload to brake, longest", f"{held.max():.0f} s" if held.size else "-"),
        ("commands landed", str(len(run.commands))),
    ):
        table.add_row(name, value)
    for priority in Priority:
        added, name = impact(run, free, priority), priority.name.lower()
        table.add_row(
            f"{name} priority: time below the highest clock", f"{run.capped_share(priority):.1%}"
        )
        table.add_row(
            f"{name} priority: added latency P50, P99", f"{added.p50:.2f} %, {added.p99:.2f} %"
        )
        table.add_row(f"{name} priority: rate lost while busy", f"{added.rate:.2f} %")
    return table


if __name__ == "__main__":
    typer.run(main)
