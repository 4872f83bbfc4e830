"""Cluster manager, every 30 minutes: how many servers each pool has (DynamoLLM, section IV-B)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inference.policies.dynamo.classes import Taxonomy
from inference.policies.dynamo.profile import EnergyProfile

PERIOD_NS = 1_800 * 10**9
SERVER_GPUS = 8

# Demands are sums of measured rates; a whole number of servers must not become one more by rounding of floats.
_EPSILON = 1e-9


class ServerPlan(NamedTuple):
    """Servers by pool.

    Attributes:
        servers: of each pool.
        demand: servers' worth of load that each pool shall serve, its own and what was promoted to it, less what it
            promotes.
        promoted: servers' worth that each pool hands to the next larger class.
    """

    servers: tuple[int, ...]
    demand: tuple[float, ...]
    promoted: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ServerPlanner:
    """Divides servers among pools.

    Attributes:
        profile: a server's highest load is one TP8 replica's at the highest clock.
        taxonomy: of the pools.
        promotion: each pool gets the whole servers of its demand and promotes the remainder to the next larger class,
            and only the largest pool rounds up. Without it, every pool rounds up (MultiPool).
        utilisation: share of a server's highest load that is planned for.
    """

    profile: EnergyProfile
    taxonomy: Taxonomy
    promotion: bool = True
    utilisation: float = 1.0

    def demand(self, peak_per_s: Sequence[float]) -> list[float]:
        """Servers' worth of load of each pool at its forecast peak."""
        tp = self.profile.tps[-1]
        wanted = []
        for class_id, load in enumerate(peak_per_s):
            capacity = self.profile.load_max(class_id, tp) * self.utilisation
            if load > 0 and capacity <= 0:
                name = self.profile.classes[class_id]
                raise ValueError(f"no load of class {name} keeps its objectives on a server")
            wanted.append(load / capacity if load > 0 else 0.0)
        return wanted

    def plan(self, peak_per_s: Sequence[float], servers_max: int | None = None) -> ServerPlan:
        """Servers for the next epoch.

        Where the cluster has fewer than wanted, pools lose servers in turn, the one with the lowest demand per server
        first, for what it cannot serve spills upwards.

        Args:
            peak_per_s: forecast peak of each pool.
            servers_max: of the cluster.

        Raises:
            ValueError: a class that is asked for cannot be served at all.
        """
        demand = self.demand(peak_per_s)
        promoted = [0.0] * len(demand)
        servers = [0] * len(demand)
        for pool in self._order():
            larger = self.taxonomy.next_larger(pool)
            if larger is None or not self.promotion:
                servers[pool] = math.ceil(demand[pool] - _EPSILON)
                continue
            servers[pool] = math.floor(demand[pool] + _EPSILON)
            rest = max(0.0, demand[pool] - servers[pool])
            promoted[pool] = rest
            demand[pool] -= rest
            demand[larger] += rest
        if servers_max is not None:
            _shrink(servers, demand, servers_max)
        return ServerPlan(tuple(servers), tuple(demand), tuple(promoted))

    def _order(self) -> list[int]:
        """Each class before the one that it promotes to."""
        return sorted(range(len(self.taxonomy)), key=lambda c: (sum(self.taxonomy.bins(c)), c))


def _shrink(servers: list[int], demand: Sequence[float], servers_max: int) -> None:
    while sum(servers) > servers_max:
        least = min(
            (pool for pool, number in enumerate(servers) if number),
            key=lambda pool: (demand[pool] / servers[pool], pool),
        )
        servers[least] -= 1


def choose_pools(
    candidates: Sequence[tuple[Taxonomy, EnergyProfile]],
    history_per_s: Sequence[Sequence[Sequence[float]]],
) -> tuple[int, tuple[float, ...]]:
    """Which number of pools needs the fewest servers over the history: more pools fit better, but fragment more.

    Args:
        candidates: grids of classes with their profiles.
        history_per_s: for each candidate, rows of loads by pool.

    Returns:
        Index of the best candidate, and the mean servers of each.
    """
    means = []
    for (taxonomy, profile), rows in zip(candidates, history_per_s, strict=True):
        planner = ServerPlanner(profile, taxonomy)
        total = sum(sum(planner.plan(row).servers) for row in rows)
        means.append(total / max(1, len(rows)))
    return min(range(len(means)), key=lambda k: (means[k], k)), tuple(means)
