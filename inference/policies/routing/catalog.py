"""The routing policies by name, with their settings, and how each is put together from its parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

from inference.policies.parameters import Nothing, Range
from inference.policies.protocols import RoutingPolicy
from inference.policies.routing.chooser import Chooser
from inference.policies.routing.decode_balance import BinPacking, EvenDecodes, LeastWorkLeft
from inference.policies.routing.iteration_cost import IterationCost
from inference.policies.routing.max_capacity import MaxCapacity
from inference.policies.routing.min_min import MinMin
from inference.policies.routing.mixing_impact import LeastMixing, MixingImpact
from inference.policies.routing.pairs import PairRouting
from inference.policies.routing.per_model import PerModel
from inference.policies.routing.round_robin import RoundRobin
from inference.policies.routing.shortest_queue import (
    FewestPendingTokens,
    FewestRequests,
    FewestTokensLeft,
    LeastKvMemory,
)
from inference.policies.routing.small_large import SmallLarge
from inference.policies.routing.splitwise import SplitwiseRouting
from inference.policies.routing.token_jsq import TokenJsq
from inference.policies.routing.uniform import Uniform
from inference.policies.routing.whole import WholeRouting

NS_PER_S = 1_000_000_000
Above0 = Annotated[float, Range(1e-12, 1e6)]


@dataclass(frozen=True, slots=True)
class Splitwise:
    """Settings of Splitwise's cluster-level scheduler.

    Attributes:
        queue_tokens_max: pending tokens beyond which a prefill queue is too long.
        repurpose_s: time in the mixed pool after which a replica changes its home pool; 0: never.
    """

    queue_tokens_max: Annotated[int, Range(1)] = 8192
    repurpose_s: Annotated[float, Range(0, 1e6)] = 0.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """Settings of max-capacity.

    Attributes:
        interval_s: between two readings of free capacity.
    """

    interval_s: Annotated[float, Range(0, 1e6)] = 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Settings of policies that reckon with iteration times.

    Attributes:
        prefill_s_per_token, decode_s_per_token, base_s: as in `IterationCost`.
    """

    prefill_s_per_token: Above0 = 3.2e-4
    decode_s_per_token: Above0 = 3.3e-5
    base_s: Above0 = 0.02


@dataclass(frozen=True, slots=True)
class Dedicated:
    """Settings of dedicated small-large.

    Attributes:
        heavy_decode_tokens, heavy_share: as in `SmallLarge`.
    """

    heavy_decode_tokens: Annotated[int, Range(1)] = 250
    heavy_share: Annotated[float, Range(0, 1)] = 0.5


@dataclass(frozen=True, slots=True)
class Balance:
    """Settings of the decode balancer.

    Attributes:
        placement: "fcfs" evens out all output tokens ever routed, "least_work_left" those still to come, "bin_packing"
            fills memory.
    """

    placement: Literal["fcfs", "least_work_left", "bin_packing"] = "fcfs"


@dataclass(frozen=True, slots=True)
class Mixing:
    """Settings of the greedy router by mixing impact.

    Attributes:
        prefill_s_per_token, decode_s_per_token: as in `IterationCost`.
        epsilon_s, alpha: as in `MixingImpact`.
        score_min: score below which a request waits; -1 never waits.
        tick_s: time between two decisions about a request that waits.
        wait_s_max: longest wait.
    """

    prefill_s_per_token: Above0 = 3.2e-4
    decode_s_per_token: Above0 = 3.3e-5
    epsilon_s: Annotated[float, Range(0, 1e6)] = 0.5
    alpha: Annotated[float, Range(0, 1)] = 0.5
    score_min: Annotated[float, Range(-1, 1)] = -1.0
    tick_s: Annotated[float, Range(0.001, 1e6)] = 0.02
    wait_s_max: Annotated[float, Range(0, 1e6)] = 5.0


PLACEMENTS: Mapping[str, Callable[[], Chooser]] = MappingProxyType(
    {"fcfs": EvenDecodes, "least_work_left": LeastWorkLeft, "bin_packing": BinPacking}
)


def _mixing(settings: Mixing, seed: int) -> RoutingPolicy:
    cost = IterationCost(settings.prefill_s_per_token, settings.decode_s_per_token)
    chooser = LeastMixing(
        MixingImpact(cost, settings.epsilon_s, settings.alpha),
        settings.score_min,
        round(settings.wait_s_max * NS_PER_S),
    )
    return WholeRouting(chooser, round(settings.tick_s * NS_PER_S))


def _whole(make: Callable[[], Chooser]) -> Callable[[Any, int], RoutingPolicy]:
    return lambda settings, seed: WholeRouting(make())


def _pairs(
    prefill: Callable[[], Chooser], decode: Callable[[], Chooser]
) -> Callable[[Any, int], RoutingPolicy]:
    return lambda settings, seed: PairRouting(prefill(), decode())


def _cost(settings: Cost) -> IterationCost:
    return IterationCost(settings.prefill_s_per_token, settings.decode_s_per_token, settings.base_s)


Made = tuple[type[Any], Callable[[Any, int], RoutingPolicy], str]
ROUTER = "Intelligent Router, "
POLICIES: Mapping[str, Made] = MappingProxyType(
    {
        "splitwise": (
            Splitwise,
            lambda settings, seed: PerModel(
                lambda: SplitwiseRouting(
                    settings.queue_tokens_max, round(settings.repurpose_s * NS_PER_S)
                )
            ),
            "Splitwise, section 4.2: prefill, decode and mixed pools",
        ),
        "token_jsq": (
            Nothing,
            lambda settings, seed: TokenJsq(),
            "Splitwise, section 6: fewest pending tokens",
        ),
        "round_robin": (Nothing, _whole(RoundRobin), ROUTER + "section 6"),
        "random": (
            Nothing,
            lambda settings, seed: WholeRouting(Uniform(seed)),
            "any replica, with the run's seed",
        ),
        "jsq": (Nothing, _whole(FewestRequests), "fewest requests"),
        "tokens_left": (Nothing, _whole(FewestTokensLeft), ROUTER + "section 6: its JSQ"),
        "max_capacity": (
            Capacity,
            lambda settings, seed: WholeRouting(MaxCapacity(round(settings.interval_s * NS_PER_S))),
            ROUTER + "section 6",
        ),
        "min_min": (
            Cost,
            lambda settings, seed: WholeRouting(MinMin(_cost(settings))),
            ROUTER + "section 6",
        ),
        "small_large": (
            Dedicated,
            lambda settings, seed: WholeRouting(
                SmallLarge(settings.heavy_decode_tokens, settings.heavy_share)
            ),
            ROUTER + "section 3: dedicated small-large",
        ),
        "decode_balancer": (
            Balance,
            lambda settings, seed: WholeRouting(PLACEMENTS[settings.placement]()),
            ROUTER + "section 3",
        ),
        "mixing_impact": (Mixing, _mixing, ROUTER + "section 4: greedy by its score"),
        "round_robin_pairs": (
            Nothing,
            _pairs(RoundRobin, RoundRobin),
            "fixed pools, each in turn",
        ),
        "jsq_pairs": (
            Nothing,
            _pairs(FewestRequests, FewestRequests),
            "fixed pools, fewest requests",
        ),
        "token_jsq_pairs": (
            Nothing,
            _pairs(FewestPendingTokens, FewestPendingTokens),
            "fixed pools, fewest pending tokens",
        ),
        "kv_pairs": (
            Nothing,
            _pairs(FewestPendingTokens, LeastKvMemory),
            "fixed pools, prefill by pending tokens and decode by KV memory",
        ),
    }
)
"""Name to (settings, maker from settings and seed, where it is described)."""
