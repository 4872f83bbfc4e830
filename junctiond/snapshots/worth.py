"""Is a snapshot of a function worth taking? Pure."""

from dataclasses import dataclass

from junctiond.sandbox.plan import SnapshotChoice

START_NS_MIN = 20_000_000
"""A program that listens sooner than this gains nothing: a restored one needs about 10 ms."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a replica started."""

    choice: SnapshotChoice
    took_ns: int
    """From the program's exec to its first listen."""
    restored: bool
    exists: bool
    """There is a snapshot of this key already."""
    refused: bool
    """One was tried for this key and refused."""


def worth_taking(start: Start) -> bool:
    """Whether to take one now."""
    if start.choice is SnapshotChoice.NEVER or start.restored or start.exists or start.refused:
        return False
    return start.choice is SnapshotChoice.ALWAYS or start.took_ns >= START_NS_MIN


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
