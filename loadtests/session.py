"""One run of the benchmark: which parts, in which placements, and everything they need started and taken down."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from loadtests import (
    cold,
    echo,
    generators,
    goals,
    host_parts,
    journal,
    registry,
    warm,
    warm_figures,
)
from loadtests.beginning import Beginning
from loadtests.effort import Effort
from loadtests.failure import Attempts, Place
from loadtests.function_image import extract
from loadtests.host_parts import HOST_PARTS
from loadtests.instance import instance, stale
from loadtests.mark import Scope
from loadtests.placement import Placement
from loadtests.program import Program
from loadtests.quiet import Quiet
from loadtests.series import Series
from loadtests.stand import stand
from loadtests.warm_figures import WarmFigures

SUBJECTS = tuple(dict.fromkeys((*goals.FD, *goals.RINGS)))
LIGHT = ("aes", "asyncio", "epoll")
"""Functions that are measured in every placement: static Go, an event loop of Python, and next to no work at all."""
MAIN = Placement.SPLIT
"""The placement in which everything is measured."""
PARTS = (*warm_figures.SECTIONS, "echo", *HOST_PARTS)
BASELINES = ("bare", "nginx", "bridge")


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
        attempts: gets a line about each step, and keeps those that failed.
        folder: where every round is written as it ends.
    """

    effort: Effort
    seed: int
    parts: list[str]
    placements: list[Placement]
    subjects: list[str]
    use_wrk: bool
    quiet: Quiet
    attempts: Attempts
    folder: Path
    began: Beginning = field(default_factory=Beginning)
    others: list[Series] = field(default_factory=list)
    visits: list[WarmFigures] = field(default_factory=list)

    @property
    def generators(self) -> str:
        """What makes the load, in words."""
        loops = "wrk -t1" if self.use_wrk else "loadclient"
        return f"sequential and open loop: loadclient; closed loops: {loops}; 600-byte POST"

    @property
    def series(self) -> list[Series]:
        """Everything that was measured so far."""
        return [*self.others, *(one for visit in self.visits for one in visit.series())]

    def journal(self, *, complete: bool) -> journal.Journal:
        """The run so far."""
        return journal.Journal(
            schema=journal.SCHEMA,
            complete=complete,
            seed=self.seed,
            baselines=BASELINES,
            replaced=tuple(self._replaced()),
            provenance=self.began.provenance(self.generators),
            series=journal.values(self.series),
            marks=tuple(self.attempts.marks),
            facts={
                "effort": asdict(self.effort),
                "steal": {str(visit.placement): visit.steal for visit in self.visits},
                "busy_starts": self.quiet.busy,
            },
        )

    def _replaced(self) -> list[Scope]:
        """Warm sections that are measured as a whole; one that is left out keeps its older figures."""
        sections = [part for part in self.parts if part in warm_figures.SECTIONS]
        return [
            Scope(section, cell.subject, str(visit.placement))
            for visit in self.visits
            for cell in visit.cells
            if cell.ours
            for section in sections
        ]

    def keep(self) -> None:
        """Writes the rounds that have ended."""
        journal.write(self.journal(complete=False), self.folder)


def measure(session: Session) -> None:
    """Measures all parts and takes everything down; what fails is noted in `session.attempts`."""
    generators.build_client()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        if "echo" in session.parts:
            _echo(session)
        if set(session.parts) & {*warm_figures.SECTIONS, *HOST_PARTS}:
            programs = _programs(session, folder / "roots")
            images = stack.enter_context(registry.registry(folder))
            session.attempts.say("pushing images to the registry")
            registry.push(images)
            _warm(session, images, programs)
            parts = host_parts.Parts(
                images=images,
                programs=programs,
                effort=session.effort,
                seed=session.seed,
                quiet=session.quiet,
                attempts=session.attempts,
                found=session.others,
                after_round=session.keep,
            )
            parts.measure([part for part in session.parts if part in HOST_PARTS])


def _echo(session: Session) -> None:
    def measure_echo() -> None:
        found = echo.measure(session.effort, session.quiet, session.attempts.say)
        session.others.append(found)

    session.attempts.run(Place("echo"), "ring echo", measure_echo)
    session.keep()


def _programs(session: Session, roots: Path) -> dict[str, Program]:
    """The programs of all functions whose images can be used."""
    programs: dict[str, Program] = {}

    def unpack(name: str) -> None:
        programs[name] = extract(name, roots)

    for name in sorted({*session.subjects, *cold.FUNCTIONS, "nginx"}):
        session.attempts.run(Place("warm", name), "image", partial(unpack, name))
    return programs


def _warm(session: Session, images: str, programs: dict[str, Program]) -> None:
    sections = [part for part in session.parts if part in warm_figures.SECTIONS]
    for placement in session.placements if sections else []:
        here = partial(_placed, session, images, programs, placement, sections)
        session.attempts.run(Place("warm", placement=str(placement)), "placement", here)
        session.keep()


def _placed(
    session: Session,
    images: str,
    programs: dict[str, Program],
    placement: Placement,
    sections: list[str],
) -> None:
    whole = placement is MAIN
    known = [one for one in session.subjects if one in programs]
    subjects = [one for one in known if whole or one in LIGHT]
    attempts = session.attempts
    attempts.say(f"{placement.letter}: {placement.words}: {', '.join(subjects)}")
    with instance(placement) as host:
        if old := stale(host.settings):
            attempts.say(f"older than their sources: {', '.join(old)}; make build?")
        standing = stand(
            host, images, programs, subjects, placement, whole=whole, attempts=attempts
        )
        with standing as cells:
            conditions = warm.Conditions(
                sections=sections,
                effort=session.effort,
                placement=placement,
                use_wrk=session.use_wrk,
                control_socket=host.settings.control_socket,
            )
            result = WarmFigures(placement)
            session.visits.append(result)
            warm.measure(
                cells,
                conditions,
                session.seed,
                result=result,
                quiet=session.quiet,
                attempts=attempts,
                after_round=session.keep,
            )


def timed(say: Callable[[str], None]) -> Callable[[str], None]:
    """Puts the seconds since now before each line."""
    began_ns = time.monotonic_ns()
    return lambda words: say(f"{(time.monotonic_ns() - began_ns) / 1e9:5.0f} s  {words}")
