"""`python -m loadtests.incumbent`: measures junctiond and the stack that it replaces in interleaved rounds, and records it."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from loadtests import baselines, generators, machine, plot, record, report
from loadtests.effort import BODY_BYTES
from loadtests.function_image import ImageUnusable
from loadtests.gateway import GatewayRefused
from loadtests.incumbent import chapter, plots
from loadtests.incumbent.chapter import BENCHMARK
from loadtests.incumbent.cold import Cold
from loadtests.incumbent.effort import FULL, QUICK, Effort
from loadtests.incumbent.memory import Memory
from loadtests.incumbent.openfaas import CACHED, STOCK
from loadtests.incumbent.side import BASELINES, PACKAGED, SUBJECT, Sides, sides
from loadtests.incumbent.warm import Warm
from loadtests.interrupt import run
from loadtests.placement import Placement, clients
from loadtests.quiet import Quiet
from loadtests.record import Subject
from loadtests.series import OURS, Series

PARTS = ("warm", "cold", "memory")
RESULTS = record.LATEST.parent
COUNTS = 3
COUNTED = 10
"""Invocations over which the look-ups of containerd are counted, each time."""
FAILURES = (
    baselines.TargetFailed,
    generators.GeneratorFailed,
    GatewayRefused,
    ImageUnusable,
    PermissionError,
)
TABLE_COLUMNS = 190
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
    series: Series
    started_ns: int = field(default_factory=time.monotonic_ns)
    samples_us: dict[str, list[float]] = field(default_factory=dict)
    roles_us: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    lookups: dict[str, float] = field(default_factory=dict)

    @property
    def generators(self) -> str:
        """What made the load, in words."""
        loops = "wrk -t1" if self.use_wrk else "loadclient"
        return f"sequential and open loops: loadclient; closed loops: {loops}; 600-byte POST"

    def say(self, words: str) -> None:
        """Shows progress."""
        elapsed_s = (time.monotonic_ns() - self.started_ns) / 1e9
        out.print(f"{elapsed_s:5.0f} s  {words}")


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
    keep: Annotated[bool, typer.Option("--record/--no-record", help="Write latest.json.")] = True,
) -> None:
    """Measure junctiond beside OpenFaaS on containerd, as shipped and with cached look-ups, bare and nginx."""
    parts = only or list(PARTS)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose of {', '.join(PARTS)}")
    effort = QUICK if quick else FULL
    current = Run(
        effort=replace(effort, rounds=rounds or effort.rounds),
        seed=seed or 1 + secrets.randbelow(2**31),
        placement=place,
        use_wrk=wrk and generators.have_wrk(),
        quiet=Quiet(0 if quick else patience),
        series=Series(BENCHMARK, Subject(SUBJECT, "", str(place))),
    )
    out.print(f"seed {current.seed}; {place.words}; {current.generators}")
    try:
        provenance = measure(current, parts)
    except (*FAILURES, KeyboardInterrupt):
        _keep_raw(current, None, record.now_text())  # what was measured until then took long enough
        raise
    records = current.series.records(BASELINES, provenance)
    _show(current, records, provenance)
    _keep(current, records, provenance, latest=keep and not quick)


def measure(current: Run, parts: list[str]) -> record.Provenance:
    """Starts everything, measures the parts, and takes everything down; returns under which conditions."""
    load_1m, _, _ = os.getloadavg()
    before = machine.CpuTimes.now()
    commit = machine.commit()  # now: others may commit while this runs
    generators.build_client()
    with tempfile.TemporaryDirectory(prefix="incumbent-") as folder:
        current.say("starting junctiond, OpenFaaS on containerd, bare and nginx")
        with sides(Path(folder), current.placement) as systems, clients(current.placement):
            current.lookups = count_lookups(systems)
            current.say(f"containerd look-ups per invocation: {current.lookups}")
            if "warm" in parts:
                _warm(current, systems)
            if "cold" in parts:
                cold = Cold(
                    current.effort, current.quiet, current.say, current.series, systems.image
                )
                cold.measure(systems.platforms(), current.seed)
            if "memory" in parts:
                _memory(current, systems)
            facts = machine.describe(current.generators, before, load_1m)
    return record.Provenance(commit, facts, record.now_text())


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
        current.say,
        current.series,
        current.use_wrk,
        current.samples_us,
        current.roles_us,
    )
    warm.measure(systems.targets, [systems.brief], current.seed)


def _memory(current: Run, systems: Sides) -> None:
    Memory(
        current.effort,
        current.quiet,
        current.say,
        current.series,
        systems.host,
        systems.stack,
        PACKAGED,
        systems.image,
        systems.program,
    ).measure(current.seed)


def _show(current: Run, records: list[record.Record], provenance: record.Provenance) -> None:
    facts = provenance.machine
    out.print(chapter.shown(records, f"{OURS} at {provenance.commit}"))
    out.print(
        f"{facts.cpu}, {facts.cores} cores, Linux {facts.kernel}, cgroup {facts.cgroup}; "
        f"{current.placement.words}. Steal {facts.steal_share:.1%}, load at the start {facts.load_1m}."
    )
    if current.quiet.busy:
        out.print(
            f"{current.quiet.busy} steps began on a busy machine: repeat on a quiet one",
            style="yellow",
        )
    missed = [f"{made.figure} {made.goal}" for made in records if made.met is False]
    out.print(Text(f"goals missed: {', '.join(missed)}", "red") if missed else "every goal is met")


def _keep(
    current: Run, records: list[record.Record], provenance: record.Provenance, *, latest: bool
) -> None:
    """Writes every value of every round, the pictures, and where wanted latest.json and RESULTS.md."""
    raw = _keep_raw(current, provenance, provenance.time)
    folder = RESULTS if latest else raw
    if current.samples_us:
        facts = provenance.machine
        subtitle = f"{facts.cpu}, {facts.cores} cores; {current.placement}; {provenance.commit}"
        plot.latency_cdf(current.samples_us, subtitle, folder / plots.LATENCY)
        plots.rates(records, subtitle, folder / plots.RATES)
        plots.open_loops(records, subtitle, folder / plots.OPEN)
        out.print(f"plots: {folder}")
    if latest:
        record.append(records)
        out.print(f"recorded: {record.LATEST}, {report.write()}")


def _keep_raw(current: Run, provenance: record.Provenance | None, time_text: str) -> Path:
    """Writes every value of every round; returns the folder. Without provenance the run did not come to its end."""
    raw = RESULTS / "raw" / f"{time_text.replace(':', '')}-{BENCHMARK}"
    raw.mkdir(parents=True, exist_ok=True)
    document = {
        "seed": current.seed,
        "effort": current.effort,
        "provenance": provenance,
        "versions": versions(),
        "lookups_per_invocation": current.lookups,
        "cpu_us_by_role": current.roles_us,
        "rounds": [
            {"benchmark": BENCHMARK, "target": target, "figure": figure, "values": values}
            for (target, figure), values in current.series.values.items()
        ],
    }
    (raw / "rounds.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    out.print(f"every round: {raw / 'rounds.json'}")
    return raw


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
