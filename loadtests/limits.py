"""`python -m loadtests.limits`: the profiles behind docs/limits.md, as a table and as JSON.

Each function is asked through the platform, by rings and by descriptors, and bare, in placement S.
"""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from loadtests import generators, registry
from loadtests.anatomy import Anatomy, PerfMissing, looking
from loadtests.beginning import Beginning
from loadtests.effort import BODY_BYTES, EDGE
from loadtests.failure import FAILURES, Attempts
from loadtests.function_image import extract
from loadtests.instance import instance
from loadtests.interrupt import run
from loadtests.placement import Placement, clients, server_cores
from loadtests.record import Provenance
from loadtests.screen import screen
from loadtests.stand import Cell, stand

RESULTS = Path(__file__).parent / "results" / "anatomy.json"
SHARE_MIN_US = 0.05
"""Less than this per invocation is not worth a line."""
LOADS = (1, EDGE)


class Profile(msgspec.Struct, frozen=True):
    """One cell's profile.

    Attributes:
        function: which.
        target: attachment, or baseline.
        connections: of the closed loop.
        invocations: that were sampled.
        cpu_us: per invocation, by role and work.
    """

    function: str
    target: str
    connections: int
    invocations: int
    cpu_us: dict[str, dict[str, float]]


class Profiles(msgspec.Struct, frozen=True):
    """All of them, and where they come from."""

    provenance: Provenance
    placement: str
    profiles: list[Profile]


def main(
    functions: Annotated[str, typer.Option(help="Which functions, comma-separated.")] = "epoll,aes",
    seconds: Annotated[float, typer.Option(help="Each closed loop.")] = 2.0,
    record: Annotated[bool, typer.Option(help="Keep them in results/anatomy.json.")] = False,
) -> None:
    """Profile invocations and show where their CPU time goes."""
    console, began = screen(), Beginning()
    attempts = Attempts(console.print)
    found = _profiles(functions.split(","), seconds, console, attempts)
    console.print(_table(found))
    if attempts.marks:
        raise typer.Exit(
            1
        )  # what did not come up has been said; a part is not recorded as the whole
    if record:
        provenance = began.provenance("wrk -t1; 600-byte POST")
        kept = Profiles(provenance, Placement.SPLIT.words, found)
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def _profiles(
    functions: list[str], seconds: float, console: Console, attempts: Attempts
) -> list[Profile]:
    placement = Placement.SPLIT
    core = min(server_cores(placement, os.sched_getaffinity(0)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anatomy-")))
        programs = {name: extract(name, folder / "roots") for name in functions}
        images = stack.enter_context(registry.registry(folder))
        registry.push(images)
        host = stack.enter_context(instance(placement))
        cells = stack.enter_context(
            stand(host, images, programs, functions, placement, whole=True, attempts=attempts)
        )
        found = []
        with clients(placement):
            for cell in cells:
                generators.closed_loop(cell.target.url, EDGE, 1.0, BODY_BYTES, use_wrk=True)
                for connections in LOADS:
                    console.print(f"{cell.subject} {cell.label}, {connections} connections")
                    found.append(_profile(cell, connections, seconds, core, folder))
        return found


def _profile(cell: Cell, connections: int, seconds: float, core: int, folder: Path) -> Profile:
    with looking(cell.target, core, folder) as anatomy:
        loop = generators.closed_loop(
            cell.target.url, connections, seconds, BODY_BYTES, use_wrk=True
        )
        anatomy.invocations = loop.requests
    return Profile(
        function=cell.subject,
        target=cell.label,
        connections=connections,
        invocations=anatomy.invocations,
        cpu_us=_nested(anatomy),
    )


def _nested(anatomy: Anatomy) -> dict[str, dict[str, float]]:
    nested: dict[str, dict[str, float]] = {}
    for (role, work), spent_us in anatomy.us_per_invocation().items():
        if spent_us >= SHARE_MIN_US:
            nested.setdefault(role, {})[work] = round(spent_us, 2)
    return nested


def _table(profiles: list[Profile]) -> Table:
    table = Table("function", "by", "connections", "process", "CPU us each", "of which")
    for profile in profiles:
        for role, parts in profile.cpu_us.items():
            works = ", ".join(f"{work} {spent_us:.1f}" for work, spent_us in parts.items())
            total = f"{sum(parts.values()):.1f}"
            row = (profile.function, profile.target, str(profile.connections), role, total, works)
            table.add_row(*row)
    return table


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    run(app, (*FAILURES, PerfMissing))
