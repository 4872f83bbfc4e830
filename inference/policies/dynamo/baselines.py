"""The systems that DynamoLLM is compared with (section V-A), each a choice of its parts.

MultiPool gives every class its own pool; each of the next three adds one controller to it; DynamoLLM has all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Composition:
    """Which controllers run.

    Attributes:
        name: as the paper calls it.
        by_class: one pool for each class; else one for all requests.
        scales: the cluster manager changes the servers of each pool every epoch; else they are enough for the peak of
            the whole run, every pool rounded up.
        shards: the pool manager changes tensor parallelism; else it is 8.
        clocks: the instance manager changes SM clocks; else they are at the highest.
        clock_aware: the pool manager knows that clocks will be lowered (not in the paper, which assumes the highest).
        packs: requests go where they add the least energy; else to the replica with the least pending work.
    """

    name: str
    by_class: bool
    scales: bool = False
    shards: bool = False
    clocks: bool = False
    packs: bool = False
    clock_aware: bool = False


CLOCK_AWARE = Composition(
    "DynamoLLM, clock-aware",
    by_class=True,
    scales=True,
    shards=True,
    clocks=True,
    packs=True,
    clock_aware=True,
)
"""Ours, beside the paper's."""

COMPOSITIONS: Mapping[str, Composition] = MappingProxyType(
    {
        made.name: made
        for made in (
            Composition("SinglePool", by_class=False),
            Composition("MultiPool", by_class=True),
            Composition("ScaleInst", by_class=True, scales=True),
            Composition("ScaleShard", by_class=True, shards=True),
            Composition("ScaleFreq", by_class=True, clocks=True),
            Composition(
                "DynamoLLM", by_class=True, scales=True, shards=True, clocks=True, packs=True
            ),
        )
    }
)
