"""`python -m loadtests.bench`: measures every promised figure, interleaved with its baselines, and records it."""

import secrets
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from loadtests import baselines, generators, plot, record, report, table
from loadtests.attachment import ControlRefused
from loadtests.echo import EchoFailed
from loadtests.effort import FULL, QUICK
from loadtests.function_image import ImageUnusable
from loadtests.gateway import GatewayRefused
from loadtests.interrupt import run
from loadtests.placement import Placement
from loadtests.quiet import Quiet
from loadtests.session import LIGHT, MAIN, PARTS, SUBJECTS, Session, measure

BASELINES = ("bare", "nginx", "bridge")
RESULTS = record.LATEST.parent
FAILURES = (
    baselines.TargetFailed,
    generators.GeneratorFailed,
    GatewayRefused,
    ImageUnusable,
    ControlRefused,
    EchoFailed,
    PermissionError,
)
TABLE_COLUMNS = 200
"""Where standard output is a file or a pipe, the tables keep their shape."""
WIDTH = None if sys.stdout.isatty() else TABLE_COLUMNS
out = Console(highlight=False, soft_wrap=True, width=WIDTH)


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
    ] = 120.0,
    keep: Annotated[bool, typer.Option("--record/--no-record", help="Write latest.json.")] = True,
) -> None:
    """Measure junctiond beside the bare functions and nginx before them."""
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
        say=out.print,
    )
    out.print(f"seed {session.seed}; {session.generators}")
    provenance = measure(session)
    records = [made for series in session.series for made in series.records(BASELINES, provenance)]
    _keep(session, records, provenance, latest=keep and not quick)
    _show(session, records, provenance)


def _chosen(text: str, default: tuple[str, ...], known: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated choice; the default where it is empty."""
    names = [name.strip() for name in text.split(",") if name.strip()] or list(default)
    unknown = sorted(set(names) - set(known or default))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose of {', '.join(known or default)}")
    return [str(name) for name in names]


def _show(session: Session, records: list[record.Record], provenance: record.Provenance) -> None:
    facts = provenance.machine
    out.print(table.warm(records))
    out.print(table.others(records))
    out.print(table.goal_rows(record.judge(records), f"goals at {provenance.commit}"))
    out.print(
        f"{facts.cpu}, {facts.cores} cores, Linux {facts.kernel}, cgroup {facts.cgroup}. "
        f"Steal {facts.steal_share:.1%}, load at the start {facts.load_1m}."
    )
    for placement in Placement:
        out.print(f"{placement.letter}: {placement.words}")
    if session.quiet.busy:
        line = f"{session.quiet.busy} steps began on a busy machine: repeat on a quiet one"
        out.print(line, style="yellow")
    verdicts = record.judge(records)
    missed = [verdict.goal.name for verdict in verdicts if verdict.met is False]
    met = [verdict.goal.name for verdict in verdicts if verdict.met]
    out.print(Text(f"goals met: {', '.join(met) or 'none'}", "green"))
    out.print(Text(f"goals missed: {', '.join(missed) or 'none'}", "red" if missed else "green"))


def _keep(
    session: Session, records: list[record.Record], provenance: record.Provenance, *, latest: bool
) -> None:
    """Writes the raw series and the plots under results/raw, and the records to latest.json where wanted."""
    raw = RESULTS / "raw" / provenance.time.replace(":", "")
    raw.mkdir(parents=True, exist_ok=True)
    document = {
        "seed": session.seed,
        "effort": asdict(session.effort),
        "provenance": provenance,
        "rounds": [
            {
                "benchmark": one.benchmark,
                **msgspec.structs.asdict(one.subject),
                "target": target,
                "figure": figure,
                "values": values,
            }
            for one in session.series
            for (target, figure), values in one.values.items()
        ],
        "steal": {str(warm.placement): warm.steal for warm in session.visits},
    }
    (raw / "rounds.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    out.print(f"every round: {raw / 'rounds.json'}")
    _plot(session, records, provenance, RESULTS if latest else raw)
    if latest:
        record.append(records)
        out.print(f"recorded: {record.LATEST}; {report.write()}")


def _plot(
    session: Session, records: list[record.Record], provenance: record.Provenance, folder: Path
) -> None:
    facts = provenance.machine
    subtitle = f"{facts.cpu}, {facts.cores} cores; {MAIN.words}; {provenance.commit}"
    for found in session.visits:
        if found.placement is MAIN:
            out.print(plot.latencies(found.samples_us, subtitle, folder / "latency.png"))
            out.print(plot.hops(records, subtitle, folder / "hop.png"))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)


def command() -> None:
    """Runs the command line."""
    run(app, FAILURES)


if __name__ == "__main__":
    command()
