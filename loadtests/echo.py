"""A byte through a pair of rings and back: the floor under every invocation that rides on rings."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from loadtests.effort import Effort
from loadtests.machine import REPOSITORY
from loadtests.quiet import Quiet
from loadtests.series import OURS, Series

Say = Callable[[str], None]
WORKSPACE = REPOSITORY / "dataplane"
PACKAGE = "jd-ring"
EXAMPLE = "echo"
BUILD_TIMEOUT_S = 600.0
RUN_TIMEOUT_S = 60.0


class EchoFailed(Exception):
    """The ring's example does not build or run; the message says why."""


class Echo(msgspec.Struct, frozen=True):
    """What the example prints: nanoseconds of one round trip, medians of its own."""

    same_core_ns: float
    polled_ns: float


def measure(effort: Effort, quiet: Quiet, say: Say) -> Series:
    """Builds the ring's example and runs it once a round.

    Raises:
        EchoFailed: cargo is missing, the example does not build, or it fails.
    """
    series = Series("echo")
    program = build()
    for number in range(1, effort.rounds + 1):
        say(f"ring echo: round {number} of {effort.rounds}")
        quiet.wait()
        found = msgspec.json.decode(_output([str(program)], RUN_TIMEOUT_S), type=Echo)
        series.add(OURS, "echo_same_core_us", found.same_core_ns / 1000)
        series.add(OURS, "echo_polled_us", found.polled_ns / 1000)
    return series


def build() -> Path:
    """The example, built where cargo's target folder is."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise EchoFailed("the ring's example needs cargo on PATH to build: make setup")
    command = [cargo, "build", "--release", "--quiet", "--package", PACKAGE, "--example", EXAMPLE]
    _output(command, BUILD_TIMEOUT_S)
    metadata = [cargo, "metadata", "--no-deps", "--offline", "--format-version=1"]
    target = msgspec.json.decode(_output(metadata, BUILD_TIMEOUT_S))["target_directory"]
    return Path(target) / "release" / "examples" / EXAMPLE


def _output(command: list[str], timeout_s: float) -> bytes:
    try:
        done = subprocess.run(
            command, cwd=WORKSPACE, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EchoFailed(f"{command[0]} did not end within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise EchoFailed(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
