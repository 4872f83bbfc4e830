"""`python -m loadtests.simulator`: measures the simulator's speed, memory and growth in interleaved rounds, and records it."""

import platform
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtests import journal, neighbours, record, report, table
from loadtests.beginning import Beginning
from loadtests.failure import FAILURES, Attempts, Place
from loadtests.interrupt import run
from loadtests.ledger import LATEST, append
from loadtests.mark import DISTURBED, Scope
from loadtests.quiet import Quiet
from loadtests.record import Subject
from loadtests.rounds import interleave
from loadtests.screen import cautions, screen
from loadtests.series import OURS, Series
from loadtests.session import timed
from loadtests.simulator import chapter, probe
from loadtests.simulator.chapter import BENCHMARK
from loadtests.simulator.workloads import BASELINES, FULL, QUICK, Workload

ROUNDS = 5
ROUNDS_QUICK = 1
GENERATORS = f"the simulator alone, one process at a time, CPython {platform.python_version()}"
out = screen()


@dataclass(slots=True)
class Run:
    """One measurement."""

    workloads: Sequence[Workload]
    rounds: int
    seed: int
    quiet: Quiet
    attempts: Attempts
    folder: Path
    began: Beginning = field(default_factory=Beginning)
    series: dict[str, Series] = field(default_factory=dict)

    def journal(self, *, complete: bool) -> journal.Journal:
        """The run so far."""
        return journal.Journal(
            schema=journal.SCHEMA,
            complete=complete,
            seed=self.seed,
            baselines=BASELINES,
            replaced=tuple(Scope(BENCHMARK, subject) for subject in self.series),
            provenance=self.began.provenance(GENERATORS),
            series=journal.values(self.series.values()),
            marks=tuple(self.attempts.marks),
            facts={
                "busy_starts": self.quiet.busy,
                "workloads": {one.target or one.subject: one.words for one in self.workloads},
            },
        )

    def keep(self) -> None:
        """Writes the rounds that have ended."""
        journal.write(self.journal(complete=False), self.folder)


def main(
    rounds: Annotated[int, typer.Option(min=0, help="Interleaved rounds; 0: the default.")] = 0,
    only: Annotated[str, typer.Option(help="Subjects, comma-separated.")] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, one round; implies --no-record.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Order within the rounds; 0: any.")] = 0,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds in all to wait for quiet moments.")
    ] = 30.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse to begin on a machine that others use.")
    ] = False,
    keep: Annotated[bool, typer.Option("--record/--no-record", help="Write latest.json.")] = True,
) -> None:
    """Measure the simulator: requests per CPU-second, memory, and how they grow."""
    workloads = chosen(QUICK if quick else FULL, only)
    neighbours.check(neighbours.look(), out.print, strict=strict)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=out,
    )
    current = Run(
        workloads=workloads,
        rounds=rounds or (ROUNDS_QUICK if quick else ROUNDS),
        seed=seed or 1 + secrets.randbelow(2**31),
        quiet=Quiet(0 if quick else patience),
        attempts=Attempts(timed(bar.console.print)),
        folder=journal.RAW / f"{record.now_text().replace(':', '')}-{BENCHMARK}",
    )
    out.print(f"seed {current.seed}; every round, as it ends: {current.folder / journal.FILE}")
    with journal.outliving(current.keep, current.folder, out.print), bar:
        measure(current, bar)
    _keep(current, latest=keep and not quick)
    if current.attempts.failures:
        raise typer.Exit(1)


def chosen(workloads: Sequence[Workload], only: str) -> list[Workload]:
    """Workloads of the subjects asked for; all where none are.

    Raises:
        typer.BadParameter: there is no such subject.
    """
    subjects = list(dict.fromkeys(one.subject for one in workloads))
    asked = [name.strip() for name in only.split(",") if name.strip()] or subjects
    if unknown := sorted(set(asked) - set(subjects)):
        raise typer.BadParameter(f"{', '.join(unknown)}: choose of {', '.join(subjects)}")
    return [one for one in workloads if one.subject in asked]


def measure(current: Run, bar: Progress) -> None:
    """Every workload once a round, in an order shuffled per round."""
    plan = interleave(current.workloads, current.rounds, current.seed)
    task = bar.add_task("simulator", total=sum(map(len, plan)))
    for number, order in enumerate(plan, 1):
        for workload in order:
            bar.update(task, description=f"round {number}: {workload.target or workload.subject}")
            place = Place(BENCHMARK, workload.subject, workload.target)
            if not current.attempts.given_up(place, "run"):
                step = partial(_one, current, workload, place, number)
                current.attempts.run(place, "run", step, number)
            bar.advance(task)
        current.keep()


def _one(current: Run, workload: Workload, place: Place, number: int) -> None:
    current.quiet.wait()
    with neighbours.watching([]) as watch:
        cost = probe.measure(workload)
    if watch.found:
        words = ", ".join(map(str, watch.found))
        current.attempts.note(DISTURBED, place, "run", words, number)
    series = current.series.setdefault(
        workload.subject, Series(BENCHMARK, Subject(workload.subject))
    )
    for figure, value in cost.figures().items():
        series.add(workload.target or OURS, figure, value, number)


def _keep(current: Run, *, latest: bool) -> None:
    """Writes every value of every round, where wanted latest.json and RESULTS.md, and shows them."""
    run_of = current.journal(complete=True)
    journal.write(run_of, current.folder)
    if latest:
        append(run_of.known, replaced=run_of.replaced)
        out.print(f"recorded: {LATEST}, {report.write()}")
    records, facts = run_of.known.records, run_of.provenance.machine
    for one in chapter.shown(
        records, f"simulator at {run_of.provenance.commit}", current.workloads
    ):
        out.print(one)
    for words in chapter.extrapolated(records):
        out.print(words)
    verdicts = [one for one in record.judge(records) if one.goal.benchmark == BENCHMARK]
    out.print(table.goal_rows(verdicts, "goals", run_of.marks))
    out.print(
        f"{facts.cpu}, {facts.cores} cores, Linux {facts.kernel}; {facts.generators}. "
        f"Steal {facts.steal_share:.1%}, idle {facts.idle_share:.0%}, load at the start {facts.load_1m}."
    )
    cautions(out, current.quiet.busy, run_of.marks, "runs")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    run(app, FAILURES)
