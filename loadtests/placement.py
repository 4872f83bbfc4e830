"""Which cores client and servers may use. Stated with every figure, for it decides more than most code does.

Bare always has the placement of ours: the same core count for platform and function together, the same client position.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Placement(StrEnum):
    """Where client, platform and function run."""

    SPLIT = "split"
    ONE = "one"
    FREE = "free"
    OWN = "own"

    @property
    def letter(self) -> str:
        """What tables call it."""
        return LETTERS[self]

    @property
    def words(self) -> str:
        """What it means."""
        return WORDS[self]


LETTERS = {
    Placement.SPLIT: "S",
    Placement.ONE: "O",
    Placement.FREE: "U",
    Placement.OWN: "P",
}
WORDS = {
    Placement.SPLIT: "platform and function (bare: the function) on the first core, client on the last",
    Placement.ONE: "client, platform and function all on the first core",
    Placement.FREE: "nothing pinned: client, platform and function share all cores",
    Placement.OWN: "as everybody gets it: the platform places itself (its default), client and bare are not pinned",
}


UNPINNED = (Placement.FREE, Placement.OWN)


@contextmanager
def servers(placement: Placement) -> Iterator[None]:
    """Processes started inside, and their children, get the servers' cores."""
    with _on(server_cores(placement, os.sched_getaffinity(0))):
        yield


@contextmanager
def clients(placement: Placement) -> Iterator[None]:
    """Processes started inside get the clients' cores."""
    with _on(client_cores(placement, os.sched_getaffinity(0))):
        yield


def server_cores(placement: Placement, cores: set[int]) -> set[int]:
    """Where platform and function, or bare, run."""
    return set(cores) if placement in UNPINNED else {min(cores)}


def client_cores(placement: Placement, cores: set[int]) -> set[int]:
    """Where the load generator runs."""
    if placement in UNPINNED:
        return set(cores)
    return {max(cores)} if placement is Placement.SPLIT else {min(cores)}


@contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
