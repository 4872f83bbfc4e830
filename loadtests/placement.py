"""Which cores client and servers may use. Stated with every figure, for it decides more than most code does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Placement(StrEnum):
    """Where things run."""

    FREE = "free"
    SPLIT = "split"

    def __str__(self) -> str:
        return WORDS[self]


WORDS = {
    Placement.FREE: "nothing pinned: client, platform and function share all cores",
    Placement.SPLIT: "platform and function on the first core, client on the last",
}


@contextmanager
def servers(placement: Placement) -> Iterator[None]:
    """Processes started inside, and their children, get the servers' cores."""
    with _on(placement, {min(os.sched_getaffinity(0))}):
        yield


@contextmanager
def clients(placement: Placement) -> Iterator[None]:
    """Processes started inside get the clients' cores."""
    with _on(placement, {max(os.sched_getaffinity(0))}):
        yield


@contextmanager
def _on(placement: Placement, cores: set[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    if placement is Placement.SPLIT:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
