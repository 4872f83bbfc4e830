"""`python -m loadtests.bench`: measures every promised figure, interleaved with its baselines, and records it."""

import os
import secrets
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from loadtests import baselines, cold, generators, machine, memory, plot, record, registry, table
from loadtests import warm as warming
from loadtests.effort import FULL, QUICK, Effort
from loadtests.function_image import ImageUnusable, extract_program
from loadtests.gateway import GatewayRefused
from loadtests.instance import Instance, instance, stale
from loadtests.interrupt import run
from loadtests.placement import Placement, clients, servers
from loadtests.quiet import Quiet
from loadtests.series import OURS, Series

FUNCTION = "aes"
BASELINES = ("bare", "bridge")
PARTS = ("warm", "cold", "memory")
RESULTS = record.LATEST.parent
FAILURES = (
    baselines.TargetFailed,
    generators.GeneratorFailed,
    GatewayRefused,
    ImageUnusable,
    PermissionError,
)
TABLE_COLUMNS = 150
"""Where standard output is a file or a pipe, the table keeps its shape."""
WIDTH = None if sys.stdout.isatty() else TABLE_COLUMNS
out = Console(highlight=False, soft_wrap=True, width=WIDTH)


@dataclass(slots=True)
class Run:
    """One measurement of one or more parts."""

    effort: Effort
    seed: int
    placement: Placement
    use_wrk: bool
    quiet: Quiet
    series: list[Series] = field(default_factory=list)
    samples_us: dict[str, list[float]] = field(default_factory=dict)

    @property
    def generators(self) -> str:
        """What made the load, in words."""
        loops = "wrk -t1" if self.use_wrk else "loadclient"
        return f"sequential: loadclient; closed loops: {loops}; 600-byte POST, kept alive"


def main(
    rounds: Annotated[int, typer.Option(min=0, help="Interleaved rounds; 0: the default.")] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help="warm, cold or memory; repeatable.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes; implies --no-record.")
    ] = False,
    place: Annotated[
        Placement, typer.Option("--placement", help="Cores of the warm part.")
    ] = Placement.FREE,
    wrk: Annotated[bool, typer.Option("--wrk/--own-client", help="Closed loops by wrk.")] = True,
    seed: Annotated[int, typer.Option(help="Order within the rounds; 0: any.")] = 0,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds in all to wait for quiet moments.")
    ] = 120.0,
    keep: Annotated[bool, typer.Option("--record/--no-record", help="Write latest.json.")] = True,
) -> None:
    """Measure junctiond beside the bare function and the function behind veth and bridge."""
    parts = only or list(PARTS)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose of {', '.join(PARTS)}")
    effort = QUICK if quick else FULL
    run = Run(
        effort=replace(effort, rounds=rounds or effort.rounds),
        seed=seed or 1 + secrets.randbelow(2**31),
        placement=place,
        use_wrk=wrk and generators.have_wrk(),
        quiet=Quiet(0 if quick else patience),
    )
    out.print(f"seed {run.seed}; {place}; {run.generators}")
    provenance = measure(run, parts)
    records = [made for series in run.series for made in series.records(BASELINES, provenance)]
    _show(run, records, provenance)
    _keep(run, records, provenance, latest=keep and not quick)


def measure(run: Run, parts: list[str]) -> record.Provenance:
    """Starts everything, measures the parts, and takes everything down; returns under which conditions."""
    load_1m, _, _ = os.getloadavg()
    before = machine.CpuTimes.now()
    commit = machine.commit()  # now: others may commit while this runs
    generators.build_client()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        program = extract_program(FUNCTION, folder)
        images = stack.enter_context(registry.registry(folder))
        out.print("pushing images to the registry")
        registry.push(images)
        image = f"{images}/{FUNCTION}:latest"
        with servers(run.placement):
            out.print("starting junctiond")
            host = stack.enter_context(instance())
        if old := stale(host.settings):
            out.print(f"older than their sources: {', '.join(old)}; make build?", style="yellow")
        host.gateway.deploy(FUNCTION, image)
        host.gateway.wait_for_replicas(FUNCTION, 1)
        if "warm" in parts:
            _warm(run, host, program)
        if "cold" in parts:
            found = cold.measure(
                host, image, program, run.effort, run.seed, quiet=run.quiet, say=out.print
            )
            run.series.append(found)
        if "memory" in parts:
            run.series.append(
                memory.measure(host, FUNCTION, program, run.effort, run.seed, out.print)
            )
        facts = machine.describe(str(run.placement), run.generators, before, load_1m)
        return record.Provenance(commit, facts, record.now_text())


def _warm(run: Run, host: Instance, program: Path) -> None:
    with ExitStack() as stack:
        with servers(run.placement):
            bare = stack.enter_context(baselines.bare(program))
            bridge = stack.enter_context(baselines.bridge(program))
        targets = [bare, bridge, host.target(FUNCTION)]
        with clients(run.placement):
            found = warming.measure(
                targets,
                run.effort,
                run.seed,
                use_wrk=run.use_wrk,
                quiet=run.quiet,
                say=out.print,
            )
    run.series.append(found.series)
    run.samples_us = found.samples_us


def _show(run: Run, records: list[record.Record], provenance: record.Provenance) -> None:
    facts = provenance.machine
    out.print(table.render(records, f"{OURS} at {provenance.commit}"))
    out.print(
        f"{facts.cpu}, {facts.cores} cores, Linux {facts.kernel}, cgroup {facts.cgroup}; "
        f"{facts.placement}. Steal {facts.steal_share:.1%}, load at the start {facts.load_1m}."
    )
    if run.quiet.busy:
        out.print(
            f"{run.quiet.busy} steps began on a busy machine: repeat on a quiet one", style="yellow"
        )
    missed = [made.figure for made in records if made.met is False]
    out.print(Text(f"goals missed: {', '.join(missed)}", "red") if missed else "every goal is met")


def _keep(
    run: Run, records: list[record.Record], provenance: record.Provenance, *, latest: bool
) -> None:
    """Writes the raw series and the plot under results/raw, and the records to latest.json where wanted."""
    raw = RESULTS / "raw" / provenance.time.replace(":", "")
    raw.mkdir(parents=True, exist_ok=True)
    rounds = [
        {"benchmark": series.benchmark, "target": target, "figure": figure, "values": values}
        for series in run.series
        for (target, figure), values in series.values.items()
    ]
    document = {"seed": run.seed, "effort": run.effort, "provenance": provenance, "rounds": rounds}
    (raw / "rounds.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    out.print(f"every round: {raw / 'rounds.json'}")
    if run.samples_us:
        facts = provenance.machine
        subtitle = f"{facts.cpu}, {facts.cores} cores; {facts.placement}; {provenance.commit}"
        folder = RESULTS if latest else raw
        out.print(f"plot: {plot.latency_cdf(run.samples_us, subtitle, folder / 'latency.png')}")
    if latest:
        record.append(records)
        out.print(f"recorded: {record.LATEST}")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)


def command() -> None:
    """Runs the command line."""
    run(app, FAILURES)


if __name__ == "__main__":
    command()
