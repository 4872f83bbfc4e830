"""A message through a pair of rings and back: the floor under every invocation that rides on rings."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from junctiond.settings import SettingsError, load
from loadtests.effort import Effort
from loadtests.quiet import Quiet
from loadtests.series import OURS, Series

Say = Callable[[str], None]
PROGRAM = "ring_echo"
SAMPLES = 20_000
RUN_TIMEOUT_S = 60.0
COURSES = {
    "parked, one core": "same_core",
    "polled, two cores": "polled",
    "parked, two cores": "parked",
}
"""What the program calls its courses, and the figures that are made of them."""


class EchoFailed(Exception):
    """The ring's program is not built or does not run; the message says why."""


class Course(msgspec.Struct, frozen=True):
    """Round trips of one message, as the program prints them."""

    name: str
    message_bytes: int
    p50_us: float
    p99_us: float


class Report(msgspec.Struct, frozen=True):
    """All that the program prints."""

    ring_echo: list[Course]


def measure(effort: Effort, quiet: Quiet, say: Say) -> Series:
    """Runs the program once a round.

    Raises:
        EchoFailed: it is not built, or it fails.
    """
    series = Series("echo")
    try:
        program = load(environment=os.environ).binary(PROGRAM)
    except SettingsError as error:
        raise EchoFailed(f"{error}; make build") from error
    for number in range(1, effort.rounds + 1):
        say(f"ring echo: round {number} of {effort.rounds}")
        quiet.wait()
        note(series, run(program))
    return series


def note(series: Series, report: Report) -> None:
    """Adds the figures of a round; those of one byte have no length in their name."""
    for course in report.ring_echo:
        length = "" if course.message_bytes == 1 else f"{course.message_bytes}_"
        name = f"echo_{length}{COURSES.get(course.name, course.name.replace(', ', '_'))}"
        series.add(OURS, f"{name}_us", course.p50_us)
        series.add(OURS, f"{name}_us_p99", course.p99_us)


def run(program: Path) -> Report:
    """What one run says.

    Raises:
        EchoFailed: it ended with an error, not at all, or with something else than its report.
    """
    command = [str(program), str(SAMPLES)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=RUN_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EchoFailed(f"{program} did not end within {RUN_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        raise EchoFailed(f"{program}: {done.stderr.decode(errors='replace').strip()}")
    try:
        return msgspec.json.decode(done.stdout, type=Report)
    except msgspec.DecodeError as error:
        raise EchoFailed(f"{program} printed no report: {error}") from error
