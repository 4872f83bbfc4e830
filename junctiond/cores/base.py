"""The words of placement: what is wished, what is seen, what is decided. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Wish(StrEnum):
    """What a deployment says of the cores its program needs."""

    HOST = "host"
    """Nothing: the host decides."""
    ONE = "one"
    """One core is enough (a CPU limit of at most one core, or the annotation)."""
    MANY = "many"
    """The program computes on several cores at once; it must see them all (the annotation)."""


class Seat(StrEnum):
    """How a sandbox sits."""

    PAIRED = "paired"
    """On the core of a worker of the front door."""
    SPREAD = "spread"
    """On the cores that no worker uses, for it needs more than its worker's core can give."""
    FREE = "free"
    """On all usable cores: the kernel decides."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a sandbox belongs.

    Attributes:
        cores: what its threads may use; empty: the host pins nothing.
        seat: how it sits there.
        reason: one short phrase for people; one of a fixed set.
        since_ns: monotonic time of the last move.
        moves: how often it was moved.
    """

    cores: tuple[int, ...]
    seat: Seat
    reason: str
    since_ns: int = 0
    moves: int = 0


@dataclass(frozen=True, slots=True)
class Signals:
    """What one look found: shares of the time since the look before.

    Attributes:
        busy: of each usable core, the share in which it was not idle, 0 to 1.
        door: of each core with workers, the share that they ran, 0 to 1; absent: unknown.
        sandboxes: cores' worth of CPU time each sandbox used, 0 to the number of cores. Complete, or empty where
            nothing called for the look (`PlacementPolicy.wants_shares`).
        requests: invocations per second of each sandbox; absent: unknown.
    """

    busy: Mapping[int, float]
    door: Mapping[int, float] = field(default_factory=dict)
    sandboxes: Mapping[str, float] = field(default_factory=dict)
    requests: Mapping[str, float] = field(default_factory=dict)


class Seats(Protocol):
    """Who says where a sandbox starts."""

    def seat(self, sandbox: str, owner: tuple[str, str], wish: Wish) -> tuple[int, ...]:
        """A sandbox is about to be launched: the cores of its specification; empty: any.

        Args:
            sandbox: its name.
            owner: namespace and name of its function.
            wish: what the deployment says.
        """
        ...

    def adopt(self, sandbox: str, owner: tuple[str, str], wish: Wish) -> None:
        """A sandbox was found running: it is put where a new one would begin."""
        ...

    def leave(self, sandbox: str) -> None:
        """A sandbox is gone."""
        ...


class Actuator(Protocol):
    """Moves the threads of sandboxes. The real one and the fake pass the same conformance suite."""

    def place(self, sandbox: str, cores: tuple[int, ...]) -> str:
        """Puts every thread of a sandbox, also those that it starts meanwhile, on `cores`.

        Returns:
            Empty, or in one sentence why it could not be done. A sandbox that is gone needs no moving: empty.
        """
        ...
