"""A step that fails loses itself and not the run: it is noted with its reason, tried again, and given up in the end."""

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from loadtests import baselines, generators
from loadtests.attachment import ControlRefused
from loadtests.echo import EchoFailed
from loadtests.function_image import ImageUnusable
from loadtests.gateway import GatewayRefused
from loadtests.machine import REPOSITORY
from loadtests.mark import FAILED, Mark, shortened
from loadtests.neighbours import MachineBusy
from loadtests.record import now_text

FAILURES = (
    baselines.TargetFailed,
    generators.GeneratorFailed,
    GatewayRefused,
    ImageUnusable,
    ControlRefused,
    EchoFailed,
    MachineBusy,
    PermissionError,
)
"""What a user can mend; the message says how."""
TRIES = 2
"""Failures after which a step of a cell is not tried again: each may have cost a timeout."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step belongs: as a `Mark` says it."""

    benchmark: str
    subject: str = ""
    target: str = ""
    placement: str = ""


@dataclass(slots=True)
class Attempts:
    """Runs the steps of a measurement and keeps what failed.

    Attributes:
        say: gets a line about each failure.
        marks: every failure, and what else there is to know.
    """

    say: Callable[[str], None]
    marks: list[Mark] = field(default_factory=list)
    failed: Counter[tuple[Place, str]] = field(default_factory=Counter)

    def run(self, place: Place, step: str, do: Callable[[], None], number: int = 0) -> bool:
        """Runs a step; returns whether it went well. Ctrl-C and SIGTERM are no failures and go through."""
        try:
            do()
        except (
            Exception
        ) as error:  # whatever it is, a quarter of an hour of other figures must outlive it
            self.failed[place, step] += 1
            self.note(FAILED, place, step, reason(error), number)
            return False
        return True

    def given_up(self, place: Place, step: str) -> bool:
        """Whether a step has failed so often that trying again only costs time."""
        return self.failed[place, step] >= TRIES

    def note(self, kind: str, place: Place, step: str, words: str, number: int = 0) -> None:
        """Keeps a mark and says it."""
        mark = Mark(
            kind=kind,
            benchmark=place.benchmark,
            subject=place.subject,
            target=place.target,
            placement=place.placement,
            round=number,
            step=step,
            words=shortened(words),
            time=now_text(),
        )
        self.marks.append(mark)
        self.say(f"{kind}: {mark}")

    @property
    def failures(self) -> list[Mark]:
        """What has no figure."""
        return [mark for mark in self.marks if mark.kind == FAILED]


def reason(error: BaseException) -> str:
    """Why a step failed; with the place in the program where it is nothing that a user can mend."""
    return "; ".join(dict.fromkeys(_reason(one) for one in leaves(error)))


def _reason(error: BaseException) -> str:
    if isinstance(error, FAILURES):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if Path(one.filename).is_relative_to(REPOSITORY)] or frames
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{where}: {error}".removesuffix(": ")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group of groups; the error itself where it is none."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error
