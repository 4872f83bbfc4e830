"""One run of the benchmark: which parts, in which placements, and everything they need started and taken down."""

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from loadtests import (
    cold,
    echo,
    generators,
    goals,
    idle,
    machine,
    memory,
    record,
    registry,
    sustained,
    warm,
)
from loadtests.effort import Effort
from loadtests.function_image import extract
from loadtests.instance import instance, stale
from loadtests.placement import Placement
from loadtests.program import Program
from loadtests.quiet import Quiet
from loadtests.series import Series
from loadtests.stand import stand

SUBJECTS = tuple(dict.fromkeys((*goals.FD, *goals.RINGS)))
LIGHT = ("aes", "epoll")
"""Functions that are measured in every placement: a server that does much, and one that does little."""
MAIN = Placement.SPLIT
"""The placement in which everything is measured."""
HOST_PARTS = ("cold", "sustained", "memory", "idle")
PARTS = (*warm.SECTIONS, "echo", *HOST_PARTS)


@dataclass(slots=True)
class Session:
    """What is to be measured, and what was.

    Attributes:
        effort: sizes.
        seed: of the order within the rounds.
        parts: sections, of `PARTS`.
        placements: of the warm parts.
        subjects: functions of the warm parts.
        quiet: waits for moments in which nobody else uses the machine.
        say: gets a line about each step.
    """

    effort: Effort
    seed: int
    parts: list[str]
    placements: list[Placement]
    subjects: list[str]
    use_wrk: bool
    quiet: Quiet
    say: Callable[[str], None]
    series: list[Series] = field(default_factory=list)
    visits: list[warm.Warm] = field(default_factory=list)

    @property
    def generators(self) -> str:
        """What makes the load, in words."""
        loops = "wrk -t1" if self.use_wrk else "loadclient"
        return f"sequential and open loop: loadclient; closed loops: {loops}; 600-byte POST"


def measure(session: Session) -> record.Provenance:
    """Measures all parts and takes everything down; returns under which conditions."""
    load_1m, _, _ = os.getloadavg()
    before = machine.CpuTimes.now()
    commit = machine.commit()  # now: others may commit while this runs
    generators.build_client()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        if "echo" in session.parts:
            session.series.append(echo.measure(session.effort, session.quiet, session.say))
        if set(session.parts) & {*warm.SECTIONS, *HOST_PARTS}:
            names = sorted({*session.subjects, *cold.FUNCTIONS, "nginx"})
            programs = {name: extract(name, folder / "roots") for name in names}
            images = stack.enter_context(registry.registry(folder))
            session.say("pushing images to the registry")
            registry.push(images)
            _warm(session, images, programs)
            _host(session, images, programs)
        facts = machine.describe(session.generators, before, load_1m)
        return record.Provenance(commit, facts, record.now_text())


def _warm(session: Session, images: str, programs: dict[str, Program]) -> None:
    sections = [part for part in session.parts if part in warm.SECTIONS]
    for placement in session.placements if sections else []:
        whole = placement is MAIN
        subjects = [one for one in session.subjects if whole or one in LIGHT]
        session.say(f"{placement.letter}: {placement.words}")
        with instance(placement) as host:
            if old := stale(host.settings):
                session.say(f"older than their sources: {', '.join(old)}; make build?")
            with stand(host, images, programs, subjects, placement, whole=whole) as cells:
                conditions = warm.Conditions(
                    sections=sections,
                    effort=session.effort,
                    placement=placement,
                    use_wrk=session.use_wrk,
                    control_socket=host.settings.control_socket,
                )
                found, kept = warm.measure(
                    cells, conditions, session.seed, quiet=session.quiet, say=session.say
                )
            session.visits.append(found)
            session.series += found.series(kept)


def _host(session: Session, images: str, programs: dict[str, Program]) -> None:
    """Everything that is measured on a host as everybody gets it."""
    parts = [part for part in session.parts if part in HOST_PARTS]
    if not parts:
        return
    effort, say, image = session.effort, session.say, f"{images}/aes:latest"
    session.say(f"{Placement.OWN.letter}: {Placement.OWN.words}")
    with instance(Placement.OWN) as host:
        if "cold" in parts:
            session.series += cold.measure(
                host, images, programs, effort, session.seed, quiet=session.quiet, say=say
            )
        if "memory" in parts:
            host.gateway.deploy("aes", image)
            host.gateway.wait_for_replicas("aes", 1)
            found = memory.measure(host, "aes", programs["aes"], effort, session.seed, say)
            session.series.append(found)
            host.gateway.remove("aes")
        if "sustained" in parts:
            session.series.append(sustained.measure(host, image, effort.cold_starts, say))
        if "idle" in parts:
            session.series.append(idle.measure(host, image, effort.idle_replicas, say))
