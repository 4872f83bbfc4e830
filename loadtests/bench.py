"""`python -m loadtests.bench`: measures every promised figure, interleaved with its baselines, and records it."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from loadtests import generators, journal, neighbours, plot, record, report, table
from loadtests.effort import FULL, QUICK
from loadtests.failure import FAILURES, Attempts
from loadtests.interrupt import run
from loadtests.ledger import LATEST, Known, append
from loadtests.placement import Placement
from loadtests.quiet import Quiet
from loadtests.record import now_text
from loadtests.screen import screen
from loadtests.session import LIGHT, MAIN, PARTS, SUBJECTS, Session, measure, timed

RESULTS = LATEST.parent
out = screen()


def main(
    rounds: Annotated[int, typer.Option(min=0, help="Interleaved rounds; 0: the default.")] = 0,
    only: Annotated[str, typer.Option(help=f"Parts, comma-separated: {', '.join(PARTS)}.")] = "",
    functions: Annotated[str, typer.Option(help="Functions of the warm parts.")] = "",
    place: Annotated[
        str, typer.Option("--placement", help="split, one, free, own, comma-separated.")
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes; implies --no-record.")
    ] = False,
    starts: Annotated[int, typer.Option(min=0, help="Sustained cold starts; 0: default.")] = 0,
    replicas: Annotated[int, typer.Option(min=0, help="Idle replicas; 0: the default.")] = 0,
    wrk: Annotated[bool, typer.Option("--wrk/--own-client", help="Closed loops by wrk.")] = True,
    seed: Annotated[int, typer.Option(help="Order within the rounds; 0: any.")] = 0,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds in all to wait for quiet moments.")
    ] = 60.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse to begin on a machine that others use.")
    ] = False,
    keep: Annotated[bool, typer.Option("--record/--no-record", help="Write latest.json.")] = True,
) -> None:
    """Measure junctiond beside the bare functions and nginx before them."""
    neighbours.check(neighbours.look(), out.print, strict=strict)
    effort = QUICK if quick else FULL
    chosen = [MAIN] if quick else [*Placement]
    session = Session(
        effort=replace(
            effort,
            rounds=rounds or effort.rounds,
            cold_starts=starts or effort.cold_starts,
            idle_replicas=replicas or effort.idle_replicas,
        ),
        seed=seed or 1 + secrets.randbelow(2**31),
        parts=_chosen(only, PARTS),
        placements=[Placement(one) for one in _chosen(place, tuple(chosen), tuple(Placement))],
        subjects=_chosen(functions, LIGHT if quick else SUBJECTS, SUBJECTS),
        use_wrk=wrk and generators.have_wrk(),
        quiet=Quiet(0 if quick else patience),
        attempts=Attempts(timed(out.print)),
        folder=journal.RAW / now_text().replace(":", ""),
    )
    out.print(f"seed {session.seed}; {session.generators}")
    out.print(f"every round, as it ends: {session.folder / journal.FILE}")
    with journal.outliving(session.keep, session.folder, out.print):
        measure(session)
    _keep(session, latest=keep and not quick)
    if session.attempts.failures:
        raise typer.Exit(1)


def _chosen(text: str, default: tuple[str, ...], known: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated choice; the default where it is empty."""
    names = [name.strip() for name in text.split(",") if name.strip()] or list(default)
    unknown = sorted(set(names) - set(known or default))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose of {', '.join(known or default)}")
    return [str(name) for name in names]


def _keep(session: Session, *, latest: bool) -> None:
    """Writes the rounds and the plots below results/raw, the records to latest.json where wanted, and shows them."""
    run_of = session.journal(complete=True)
    journal.write(run_of, session.folder)
    _plot(session, run_of, RESULTS if latest else session.folder)
    known = run_of.known
    if latest:
        known = append(known, replaced=run_of.replaced)
        out.print(f"recorded: {LATEST}; {report.write()}")
    _show(run_of, known)


def _show(run_of: journal.Journal, known: Known) -> None:
    """Shows what this run measured, and the goals by all that is known: other runs measure some of them."""
    records, provenance = run_of.known.records, run_of.provenance
    facts, verdicts = provenance.machine, record.judge(known.records)
    out.print(table.warm(records, run_of.marks))
    out.print(table.others(records))
    title = f"goals at {provenance.commit}; what was not measured now is of the run before"
    out.print(table.goal_rows(verdicts, title, known.marks))
    out.print(
        f"{facts.cpu}, {facts.cores} cores, Linux {facts.kernel}, cgroup {facts.cgroup}. "
        f"Steal {facts.steal_share:.1%}, load at the start {facts.load_1m}."
    )
    for placement in Placement:
        out.print(f"{placement.letter}: {placement.words}")
    if busy := run_of.facts["busy_starts"]:
        out.print(f"{busy} steps began on a busy machine: repeat on a quiet one", style="yellow")
    missed = [verdict.goal.name for verdict in verdicts if verdict.met is False]
    met = [verdict.goal.name for verdict in verdicts if verdict.met]
    out.print(Text(f"goals met: {', '.join(met) or 'none'}", "green"))
    out.print(Text(f"goals missed: {', '.join(missed) or 'none'}", "red" if missed else "green"))
    if run_of.marks:
        out.print(table.marks(run_of.marks))


def _plot(session: Session, run_of: journal.Journal, folder: Path) -> None:
    facts = run_of.provenance.machine
    subtitle = f"{facts.cpu}, {facts.cores} cores; {MAIN.words}; {run_of.provenance.commit}"
    for found in session.visits:
        if found.placement is MAIN and found.samples_us:
            out.print(plot.latencies(found.samples_us, subtitle, folder / "latency.png"))
            out.print(plot.hops(run_of.known.records, subtitle, folder / "hop.png"))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)


def command() -> None:
    """Runs the command line."""
    run(app, FAILURES)


if __name__ == "__main__":
    command()
