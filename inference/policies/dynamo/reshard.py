"""What changing tensor parallelism costs over NVLink (DynamoLLM, section IV-D, re-sharding).

A model is cut into eighths. A GPU of a TP8 replica holds one, of TP4 two, of TP2 four. The plan keeps as many bytes in
place as it can: a maximum-weight bipartite matching of GPUs, with what they hold, to the slots of the new replicas, with
what they need. Copies run at once, so the cost is the largest number of eighths that any GPU sends or receives, times the
time to move one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

EIGHTHS = 8

# One eighth of Llama2-70B at 300 GB/s of NVLink, as the paper states it.
TAU_NS = 50_000_000


class Copy(NamedTuple):
    """One eighth of the model goes from one GPU to another."""

    eighth: int
    source: int
    target: int


class ReshardPlan(NamedTuple):
    """How the weights move.

    Attributes:
        slots: for each GPU its place among the slots of the new replicas, in their order; -1 where it is left free.
        copies: all of them, at once.
        units: largest number of eighths that any GPU sends or receives.
    """

    slots: tuple[int, ...]
    copies: tuple[Copy, ...]
    units: int

    def copy_ns(self, tau_ns: int = TAU_NS) -> int:
        """Time of the weight transfer."""
        return self.units * tau_ns


def holdings(tps: Sequence[int]) -> list[frozenset[int]]:
    """What each GPU of these replicas holds, in order of replicas and ranks.

    Raises:
        ValueError: a TP does not divide the model into eighths.
    """
    held = []
    for tp in tps:
        if tp not in (1, 2, 4, 8):
            raise ValueError(f"tensor parallelism {tp} does not divide the model's eighths")
        width = EIGHTHS // tp
        held += [frozenset(range(rank * width, (rank + 1) * width)) for rank in range(tp)]
    return held


def reshard_plan(old_tps: Sequence[int], new_tps: Sequence[int]) -> ReshardPlan:
    """Cheapest way from some replicas to others on the same GPUs.

    The GPUs are those of the larger side; those that the old replicas did not hold come empty.

    Raises:
        ValueError: a TP is not 1, 2, 4 or 8, or no GPU holds a copy of the model to begin with.
    """
    held, needed = holdings(old_tps), holdings(new_tps)
    if not held and needed:
        raise ValueError("no replica holds the weights, so nothing can be copied")
    gpus = max(len(held), len(needed))
    held += [frozenset()] * (gpus - len(held))
    wanted = needed + [frozenset()] * (gpus - len(needed))
    kept = np.array([[len(have & want) for want in wanted] for have in held])
    rows, columns = linear_sum_assignment(kept, maximize=True)
    slot_of = {int(gpu): int(slot) for gpu, slot in zip(rows, columns, strict=True)}
    missing = [
        (eighth, gpu) for gpu in range(gpus) for eighth in sorted(wanted[slot_of[gpu]] - held[gpu])
    ]
    copies = _sources(missing, held)
    slots = tuple(slot_of[gpu] if slot_of[gpu] < len(needed) else -1 for gpu in range(gpus))
    return ReshardPlan(slots, copies, _busiest(copies, gpus))


def reshard_units(old_tp: int, new_tp: int) -> int:
    """Cost of one replica's change from one TP to another, in units of moving one eighth."""
    return reshard_plan((old_tp,), (new_tp,)).units


def _sources(
    missing: Sequence[tuple[int, int]], held: Sequence[frozenset[int]]
) -> tuple[Copy, ...]:
    """Spread sends over the holders.

    A GPU's k-th send costs k: the cheapest assignment of copies to sends then has the least largest number of sends too
    (optimal semi-matching; Harvey et al., 2006).
    """
    if not missing:
        return ()
    gpus, sends = len(held), len(missing)
    never = float(sends * sends * 4)
    cost = np.full((sends, gpus * sends), never)
    for row, (eighth, _) in enumerate(missing):
        for gpu in range(gpus):
            if eighth in held[gpu]:
                cost[row, gpu * sends : (gpu + 1) * sends] = np.arange(1, sends + 1)
    rows, columns = linear_sum_assignment(cost)
    return tuple(
        Copy(missing[int(row)][0], int(column) // sends, missing[int(row)][1])
        for row, column in zip(rows, columns, strict=True)
    )


def _busiest(copies: Sequence[Copy], gpus: int) -> int:
    sent, received = [0] * gpus, [0] * gpus
    for copy in copies:
        sent[copy.source] += 1
        received[copy.target] += 1
    return max(*sent, *received, 0)
