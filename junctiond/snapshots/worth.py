"""Is a snapshot of a function worth taking? Pure."""

from dataclasses import dataclass

from junctiond.sandbox.plan import SnapshotChoice
from junctiond.snapshots.process import Program

CPU_NS_MIN = 20_000_000
"""A program that listens after less CPU time gains nothing: a restored one needs about 8 ms."""

THREADS_MAX = 2
"""The program's own, and the one that a threading server has for the look whether it is ready. Runtimes that
always have threads have more, and would be refused."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a replica started."""

    choice: SnapshotChoice
    program: Program | None
    """What it took; None where that cannot be seen."""
    restored: bool
    exists: bool
    """There is a snapshot of this key already."""
    refused: bool
    """One was tried for this key and refused."""


def worth_taking(start: Start) -> bool:
    """Whether to take one now."""
    if start.choice is SnapshotChoice.NEVER or start.restored or start.exists or start.refused:
        return False
    if start.choice is SnapshotChoice.ALWAYS:
        return True
    return slow(start.program)


def slow(program: Program | None) -> bool:
    """Whether a program takes long enough to start, and is of a kind that can be captured."""
    return program is not None and program.threads <= THREADS_MAX and program.cpu_ns >= CPU_NS_MIN


def objection(choice: SnapshotChoice, sockets: int, listeners: int) -> str:
    """Why a snapshot that was taken must not be used; empty where nothing speaks against it.

    Args:
        choice: of the deployment.
        sockets: how many sockets the program asked for until it was captured.
        listeners: how many of them listen. The capture itself asks for as many again.
    """
    if choice is SnapshotChoice.ALWAYS or sockets <= 2 * listeners:
        return ""
    return "its start used the network, so every start may go differently"
