"""`junctiond demo`: a host of its own, the sample functions, 1,000 invocations, and the same function without us.

Everything runs on this machine and is taken down at the end or on Ctrl-C: registry, daemon, data plane, sandboxes,
the network namespace of the comparison, and all folders.
"""

import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from junctiond.cli.features import judge
from junctiond.cli.machine import read as read_facts
from loadtests import baselines, cold, generators, machine, registry, rounds
from loadtests.baselines import Target, TargetFailed
from loadtests.effort import BODY_BYTES, EDGE
from loadtests.faas_cli import FaasCli
from loadtests.failure import FAILURES
from loadtests.function_image import IMAGES, extract
from loadtests.gateway import Gateway
from loadtests.instance import Instance, instance, settings_for
from loadtests.interrupt import run
from loadtests.placement import Placement
from loadtests.program import Program
from loadtests.quantiles import quantile
from loadtests.series import OURS

FUNCTION = "aes"
BATCH = 50
"""Invocations of one target before it is the next one's turn."""
LOOP_ROUNDS = 3
LOOP_S = 1.0
SHOWN_CHARS = 60
SEED = 1

out = Console(highlight=False, soft_wrap=True)


@dataclass(slots=True)
class Figures:
    """What the table shows of one target."""

    latencies_us: list[float] = field(default_factory=list)
    cold_ms: list[float] = field(default_factory=list)
    rps: list[float] = field(default_factory=list)


Results = dict[str, Figures]


def main(
    invocations: Annotated[int, typer.Option(min=BATCH, help="Invocations of each target.")] = 1000,
    launches: Annotated[int, typer.Option(min=1, help="Cold starts of each target.")] = 5,
) -> None:
    """Deploy the sample functions on a host of their own, and measure them beside veth and bridge."""
    load_1m, _, _ = os.getloadavg()
    before = machine.CpuTimes.now()
    generators.build_client()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="junctiond-demo-")))
        require_features(folder)
        program = extract(FUNCTION, folder / "roots")
        source = _images(stack, folder)
        with out.status("starting junctiond: daemon, data plane, provider"):
            host = stack.enter_context(instance())
        out.print(f"[green]✓[/] junctiond serves http://{host.gateway.address}")
        deploy_all(host.gateway, source, folder)
        results = _measure(host, program, f"{source}/{FUNCTION}:latest", invocations, launches)
        facts = machine.describe("loadclient", before, load_1m)
    out.print()
    out.print(summary(results))
    out.print(
        f"{facts.cpu}, {facts.cores} cores, Linux {facts.kernel}; {Placement.OWN.words}. "
        f"Steal {facts.steal_share:.1%}, load at the start {facts.load_1m}. {BODY_BYTES}-byte bodies on kept-alive "
        "connections. Cold start: junctiond from an invocation of the function at zero replicas to its answer; the others "
        "from starting the program (bridge: and making its network) to its first 200, without image, sandbox or gateway.",
        style="dim",
    )
    out.print(
        "Everything of the demonstration is taken down. Your own: [bold]junctiond up[/], then faas-cli."
    )


def require_features(folder: Path) -> None:
    """Raises TargetFailed with the mends where this machine cannot run functions."""
    lacking = [
        one for one in judge(read_facts(settings_for(folder))) if one.required and not one.on
    ]
    if lacking:
        raise TargetFailed(
            "this machine cannot run functions yet\n"
            + "\n".join(f"  {one.name}: {one.why}; mend: {one.mend}" for one in lacking)
        )


def _images(stack: ExitStack, folder: Path) -> str:
    """Where deployments find the images: a registry of our own, or the OCI layouts on disk."""
    if shutil.which("docker-registry") is None:
        out.print("[yellow]![/] docker-registry is not installed: deploying from OCI layouts")
        return f"oci:{IMAGES}"
    with out.status("pushing the images to a registry on loopback"):
        address = stack.enter_context(registry.registry(folder))
        registry.push(address)
    out.print(f"[green]✓[/] images are in a registry at {address}")
    return address


def deploy_all(gateway: Gateway, source: str, home: Path) -> None:
    """Deploys every function there is an image for, with the real faas-cli where it is there, and invokes each once."""
    client = FaasCli.find(gateway, home)
    if client is not None:
        client.login()
    names = sorted(path.name for path in IMAGES.iterdir() if (path / "index.json").exists())
    for name in names:
        image = f"{source}/{name}:latest"
        before_ns = time.monotonic_ns()
        with out.status(f"deploying {name}"):
            if client is not None:
                client.deploy(name, image)
            else:
                gateway.deploy(name, image)
            gateway.wait_for_replicas(name, 1)
        elapsed_ms = (time.monotonic_ns() - before_ns) / 1e6
        status, answer = gateway.invoke(name, b"hello from the demonstration\n")
        if status != 200:
            raise TargetFailed(f"{name} answered {status}: {excerpt(answer)}")
        how = "faas-cli" if client is not None else "REST"
        line = f" {name}: deployed by {how} in {elapsed_ms:.0f} ms, answers {excerpt(answer)}"
        out.print(Text.assemble(("✓", "green"), line))


def excerpt(answer: bytes) -> str:
    """The beginning of an answer as one safe line; a length where it is no text."""
    try:
        text = answer.decode().strip()
    except UnicodeDecodeError:
        return f"{len(answer)} bytes"
    shown = "".join(char if char.isprintable() else " " for char in text)
    return repr(shown[:SHOWN_CHARS] + ("…" if len(shown) > SHOWN_CHARS else ""))


def _measure(
    host: Instance, program: Program, image: str, invocations: int, launches: int
) -> Results:
    results = {name: Figures() for name in (OURS, "bridge", "bare")}
    _cold(host, program, image, launches, results)
    with baselines.bare(program) as bare, baselines.bridge(program) as bridge:
        targets = [host.target(FUNCTION), bridge, bare]
        _sequential(targets, invocations, results)
        _loops(targets, results)
    return results


def _cold(host: Instance, program: Program, image: str, launches: int, results: Results) -> None:
    host.gateway.deploy(cold.deployed(FUNCTION), image)
    with _progress() as bar:
        task = bar.add_task("cold starts", total=launches)
        for _ in range(launches):
            results[OURS].cold_ms.append(cold.from_zero_ms(host, cold.deployed(FUNCTION)))
            results["bare"].cold_ms.append(cold.bare_ms(program))
            before_ns = time.monotonic_ns()
            with baselines.bridge(program):
                results["bridge"].cold_ms.append((time.monotonic_ns() - before_ns) / 1e6)
            bar.advance(task)
    host.gateway.remove(cold.deployed(FUNCTION))


def _sequential(targets: list[Target], invocations: int, results: Results) -> None:
    batches = max(1, invocations // BATCH)
    with _progress() as bar:
        tasks = {
            one.name: bar.add_task(f"invoking {one.name}", total=batches * BATCH) for one in targets
        }
        for order in rounds.interleave(targets, batches, SEED):
            for target in order:
                measured = generators.sequential(target.url, BATCH, BATCH // 5, BODY_BYTES)
                generators.require_success(target.name, measured)
                results[target.name].latencies_us += [one / 1000 for one in measured.samples_ns]
                bar.advance(tasks[target.name], BATCH)


def _loops(targets: list[Target], results: Results) -> None:
    with _progress() as bar:
        task = bar.add_task(f"{EDGE} connections", total=LOOP_ROUNDS * len(targets))
        for order in rounds.interleave(targets, LOOP_ROUNDS, SEED):
            for target in order:
                measured = generators.closed_loop(
                    target.url, EDGE, LOOP_S, BODY_BYTES, use_wrk=False
                )
                generators.require_success(target.name, measured)
                results[target.name].rps.append(measured.rps)
                bar.advance(task)


def _progress() -> Progress:
    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=out)


TITLES = {
    OURS: "junctiond (gateway, sandbox)",
    "bridge": "veth + bridge, no gateway",
    "bare": "loopback, no gateway",
}


def summary(results: Results) -> Table:
    """The table at the end."""
    table = Table(title=f"{FUNCTION}: AES-128-CTR of {BODY_BYTES} bytes", title_justify="left")
    table.add_column("the same program", no_wrap=True)
    for column in ("latency p50", "latency p99", "cold start", f"{EDGE} at once"):
        table.add_column(column, justify="right")
    for name, figures in results.items():
        table.add_row(
            TITLES[name],
            f"{quantile(figures.latencies_us, 0.5):.0f} µs",
            f"{quantile(figures.latencies_us, 0.99):.0f} µs",
            f"{median(figures.cold_ms):.1f} ms",
            f"{median(figures.rps):,.0f} /s",
            style="bold" if name == OURS else "",
        )
    return table


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)


def command() -> None:
    """Runs the command line."""
    run(app, FAILURES)


if __name__ == "__main__":
    command()
