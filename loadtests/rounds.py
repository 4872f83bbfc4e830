"""The plan of a measurement: which step runs when, so that neighbours in time are compared with each other."""

import random
from collections.abc import Sequence
from typing import TypeVar

Step = TypeVar("Step")


def interleave(steps: Sequence[Step], rounds: int, seed: int) -> list[list[Step]]:
    """Every step once a round, in an order shuffled per round.

    A machine that slows down for a while then hits all targets alike, and no target always runs right after a
    certain other one. The same seed gives the same plan.
    """
    generator = random.Random(seed)
    plan = []
    for _ in range(rounds):
        order = list(steps)
        generator.shuffle(order)
        plan.append(order)
    return plan
