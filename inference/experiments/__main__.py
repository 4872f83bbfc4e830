"""Runs every experiment and writes docs/reproduction.md and .json: `make reproduce`.

    python -m inference.experiments [--only TEXT [--merge]] [--jobs N]

`--only` runs the experiments whose name contains the text and prints them; with `--merge` they also take the place of
what the page has of them. Each keeps the commit that it was run at.
"""

import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from inference.experiments.catalogue import EXPERIMENTS, Experiment, outcomes
from inference.experiments.outcome import Target
from inference.experiments.report import (
    Reproduction,
    from_json,
    markdown,
    merged,
    number,
    to_json,
)
from inference.sweep.processes import Processes, cores

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main(
    only: Annotated[str, typer.Option(help="experiments whose name contains this")] = "",
    merge: Annotated[bool, typer.Option(help="write what --only ran into the page")] = False,
    jobs: Annotated[int, typer.Option(min=0, help="processes; 0: one for each core")] = 0,
) -> None:
    """Run the experiments of all papers and write docs/reproduction.md."""
    chosen = [one for one in EXPERIMENTS if only in one.name]
    if not chosen:
        known = "\n  ".join(one.name for one in EXPERIMENTS)
        raise typer.BadParameter(f"no experiment's name contains {only!r}; there are:\n  {known}")
    commit = _commit()  # of the tree as it is now: runs take minutes
    found = _run(chosen, jobs or cores())
    done = [Reproduction(one.paper, one.name, commit, tuple(found[one.name])) for one in chosen]
    _print(done)
    if only and not merge:
        return
    page = DOCS / "reproduction.json"
    if only:
        before = from_json(page.read_text(encoding="utf-8")) if page.exists() else []
        done = _in_order(merged(before, done))
    page.write_text(to_json(done), encoding="utf-8")
    (DOCS / "reproduction.md").write_text(markdown(done), encoding="utf-8")
    Console(stderr=True).print("wrote docs/reproduction.md and docs/reproduction.json")


def _in_order(done: list[Reproduction]) -> list[Reproduction]:
    """By the catalogue, without experiments that it has no more."""
    places = {one.name: place for place, one in enumerate(EXPERIMENTS)}
    known = [one for one in done if one.experiment in places]
    return sorted(known, key=lambda one: places[one.experiment])


def _run(chosen: list[Experiment], jobs: int) -> dict[str, list[Target]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        Processes(outcomes, jobs) as processes,
    ):
        bar = progress.add_task("experiments", total=len(chosen))
        names = [one.name for one in chosen]
        answers = processes.run(names, lambda index, answer: progress.advance(bar))
    return dict(zip(names, answers, strict=True))


def _print(done: list[Reproduction]) -> None:
    console = Console(highlight=False)
    for one in done:
        console.print(f"[bold]{one.paper}: {one.experiment}[/]")
        for target in one.targets:
            colour = "green" if target.met else "red"
            figures = (
                f"paper {target.paper}, ours {number(target.ours)} {target.unit} ({target.bound})"
            )
            console.print(f"  [{colour}]{target.id:<28}[/] {figures}  {target.what}")


def _commit() -> str:
    """The tree that was run, with "+dirty" where it had uncommitted changes; "unknown" outside a repository."""
    folder = DOCS.parent
    try:
        head = _git(folder, "rev-parse", "--short", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", "inference")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+dirty" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    typer.run(main)
