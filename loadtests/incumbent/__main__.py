"""`python -m loadtests.incumbent`: measures junctiond and the stack that it replaces in interleaved rounds, and records it."""

import secrets
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from loadtests import generators, journal, neighbours, plot, record, report, table
from loadtests.beginning import Beginning
from loadtests.effort import BODY_BYTES
from loadtests.failure import FAILURES, Attempts, Place
from loadtests.incumbent import chapter, plots
from loadtests.incumbent.chapter import BENCHMARK
from loadtests.incumbent.cold import Cold
from loadtests.incumbent.effort import FULL, QUICK, Effort
from loadtests.incumbent.memory import Memory
from loadtests.incumbent.openfaas import CACHED, STOCK
from loadtests.incumbent.side import BASELINES, PACKAGED, SUBJECT, Sides, sides
from loadtests.incumbent.warm import Warm
from loadtests.interrupt import run
from loadtests.ledger import LATEST, append
from loadtests.placement import Placement, clients
from loadtests.quiet import Quiet
from loadtests.record import Subject
from loadtests.screen import cautions, screen
from loadtests.series import OURS, Series
from loadtests.session import timed

PARTS = ("warm", "cold", "memory")
RESULTS = LATEST.parent
COUNTS = 3
COUNTED = 10
"""Invocations over which the look-ups of containerd are counted, each time."""
out = screen(columns=190)


@dataclass(slots=True)
class Run:
    """One measurement of one or more parts."""

    effort: Effort
    seed: int
    use_wrk: bool
    quiet: Quiet
    series: Series
    attempts: Attempts
    folder: Path
    began: Beginning = field(default_factory=Beginning)
    samples_us: dict[str, list[float]] = field(default_factory=dict)
    roles_us: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    lookups: dict[str, float] = field(default_factory=dict)

    @property
    def placement(self) -> Placement:
        """The cores of everything."""
        return Placement(self.series.subject.placement)

    @property
    def generators(self) -> str:
        """What made the load, in words."""
        loops = "wrk -t1" if self.use_wrk else "loadclient"
        return f"sequential and open loops: loadclient; closed loops: {loops}; 600-byte POST"

    def journal(self, *, complete: bool) -> journal.Journal:
        """The run so far."""
        return journal.Journal(
            schema=journal.SCHEMA,
            complete=complete,
            seed=self.seed,
            baselines=BASELINES,
            replaced=(),
            provenance=self.began.provenance(self.generators),
            series=journal.values([self.series]),
            marks=tuple(self.attempts.marks),
            facts={
                "effort": asdict(self.effort),
                "busy_starts": self.quiet.busy,
                "versions": versions(),
                "lookups_per_invocation": self.lookups,
                "cpu_us_by_role": self.roles_us,
            },
        )

    def keep(self) -> None:
        """Writes the rounds that have ended."""
        journal.write(self.journal(complete=False), self.folder)


def main(
    rounds: Annotated[int, typer.Option(min=0, help="Interleaved rounds; 0: the default.")] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help="warm, cold or memory; repeatable.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes; implies --no-record.")
    ] = False,
    place: Annotated[
        Placement, typer.Option("--placement", help="Cores of everything.")
    ] = Placement.OWN,
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
    """Measure junctiond beside OpenFaaS on containerd, as shipped and with cached look-ups, bare and nginx."""
    parts = only or list(PARTS)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose of {', '.join(PARTS)}")
    neighbours.check(neighbours.look(), out.print, strict=strict)
    effort = QUICK if quick else FULL
    current = Run(
        effort=replace(effort, rounds=rounds or effort.rounds),
        seed=seed or 1 + secrets.randbelow(2**31),
        use_wrk=wrk and generators.have_wrk(),
        quiet=Quiet(0 if quick else patience),
        series=Series(BENCHMARK, Subject(SUBJECT, "", str(place))),
        attempts=Attempts(timed(out.print)),
        folder=journal.RAW / f"{record.now_text().replace(':', '')}-{BENCHMARK}",
    )
    out.print(f"seed {current.seed}; {place.words}; {current.generators}")
    out.print(f"every round, as it ends: {current.folder / journal.FILE}")
    with journal.outliving(current.keep, current.folder, out.print):
        measure(current, parts)
    _keep(current, latest=keep and not quick)
    if current.attempts.failures:
        raise typer.Exit(1)


def measure(current: Run, parts: list[str]) -> None:
    """Starts everything, measures the parts, and takes everything down; what fails is noted in `current.attempts`."""
    attempts = current.attempts
    generators.build_client()
    with tempfile.TemporaryDirectory(prefix="incumbent-") as folder:
        attempts.say("starting junctiond, OpenFaaS on containerd, bare and nginx")
        with sides(Path(folder), current.placement) as systems, clients(current.placement):
            current.lookups = count_lookups(systems)
            attempts.say(f"containerd look-ups per invocation: {current.lookups}")
            measured = {"warm": _warm, "cold": _cold, "memory": _memory}
            for part in parts:
                place = Place(BENCHMARK, SUBJECT, "", str(current.placement))
                attempts.run(place, part, partial(measured[part], current, systems))
                current.keep()


def count_lookups(systems: Sides) -> dict[str, float]:
    """Look-ups that containerd answers for one invocation through each of the incumbent's doors, by its own counters.

    The least of some counts: every five seconds each gateway lists all functions for its metrics, which may fall into one.
    """
    found = {}
    for mode in (CACHED, STOCK):
        gateway = systems.stack.doors[mode].gateway
        gateway.invoke(PACKAGED, b"x" * BODY_BYTES)  # a cached address is looked up once
        counts = []
        for _ in range(COUNTS):
            before = systems.stack.lookups()
            for _ in range(COUNTED):
                gateway.invoke(PACKAGED, b"x" * BODY_BYTES)
            counts.append((systems.stack.lookups() - before) / COUNTED)
        found[mode] = min(counts)
    return found


def _warm(current: Run, systems: Sides) -> None:
    warm = Warm(
        current.effort,
        current.quiet,
        current.attempts,
        current.series,
        current.use_wrk,
        current.keep,
        current.samples_us,
        current.roles_us,
    )
    warm.measure(systems.targets, [systems.brief], current.seed)


def _cold(current: Run, systems: Sides) -> None:
    cold = Cold(
        current.effort,
        current.quiet,
        current.attempts,
        current.series,
        systems.image,
        current.keep,
    )
    cold.measure(systems.platforms(), current.seed)


def _memory(current: Run, systems: Sides) -> None:
    Memory(
        current.effort,
        current.quiet,
        current.attempts,
        current.series,
        systems.host,
        systems.stack,
        PACKAGED,
        systems.image,
        systems.program,
        current.keep,
    ).measure(current.seed)


def _keep(current: Run, *, latest: bool) -> None:
    """Writes every value of every round, the pictures, and where wanted latest.json and RESULTS.md; shows them."""
    run_of = current.journal(complete=True)
    journal.write(run_of, current.folder)
    facts = run_of.provenance.machine
    folder = RESULTS if latest else current.folder
    if current.samples_us:
        subtitle = (
            f"{facts.cpu}, {facts.cores} cores; {current.placement}; {run_of.provenance.commit}"
        )
        plot.latency_cdf(current.samples_us, subtitle, folder / plots.LATENCY)
        plots.rates(run_of.known.records, subtitle, folder / plots.RATES)
        plots.open_loops(run_of.known.records, subtitle, folder / plots.OPEN)
        out.print(f"plots: {folder}")
    if latest:
        append(run_of.known)
        out.print(f"recorded: {LATEST}, {report.write()}")
    _show(current, run_of)


def _show(current: Run, run_of: journal.Journal) -> None:
    records, facts = run_of.known.records, run_of.provenance.machine
    out.print(chapter.shown(records, f"{OURS} at {run_of.provenance.commit}"))
    verdicts = [one for one in record.judge(records) if one.goal.benchmark == BENCHMARK]
    out.print(table.goal_rows(verdicts, "goals", run_of.marks))
    out.print(
        f"{facts.cpu}, {facts.cores} cores, Linux {facts.kernel}, cgroup {facts.cgroup}; "
        f"{current.placement.words}. Steal {facts.steal_share:.1%}, load at the start {facts.load_1m}."
    )
    cautions(out, current.quiet.busy, run_of.marks, "steps")


def versions() -> dict[str, str]:
    """What the incumbent is made of, by what its programs say of themselves."""
    found = {}
    for program, argument in (("containerd", "--version"), ("runc", "--version")):
        done = subprocess.run([program, argument], capture_output=True, text=True, check=False)
        found[program] = done.stdout.partition("\n")[0]
    return found


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    run(app, FAILURES)
