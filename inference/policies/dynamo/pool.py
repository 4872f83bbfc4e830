"""Pool manager, every 5 minutes: how a pool's servers are divided into replicas (DynamoLLM, section IV-C).

The sharding comes from `milp.solve`, with the highest clock assumed and load spread evenly. It is carried out only where
the energy saved over the epoch exceeds what the change costs, and server by server.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from inference.policies.dynamo.cluster import SERVER_GPUS
from inference.policies.dynamo.milp import Option, Sharding, solve
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.reshard import TAU_NS, reshard_plan

PERIOD_NS = 300 * 10**9

# Engines agree on their new groups after the copy, before either side serves (typically 50 to 100 ms in all).
SYNC_NS = 50_000_000

# Levels of load at which each TP is offered to the solver, as shares of its highest.
_LEVELS = (0.25, 0.5, 0.75, 1.0)

# Loads are rounded up to this share of what the servers carry at most, so that equal questions are asked once.
_QUANTUM = 0.01

Layout = tuple[int, ...]


class Change(NamedTuple):
    """One server's replicas are re-sharded.

    Attributes:
        server: its place in the pool's list.
        layout: TPs afterwards, largest first.
        units: cost in units of moving an eighth of the model.
    """

    server: int
    layout: Layout
    units: int


@dataclass(frozen=True, slots=True)
class PoolPlanner:
    """Plans one pool at a time; keeps no state but answers already found.

    Attributes:
        profile: of all classes.
        margin: share of a replica's highest load that is planned for; the rest absorbs bursts within an epoch.
        clock_aware: reckon each replica at its best clock; False, as in the paper, at the highest.
        epoch_s: over which a change must pay.
        tau_ns: time to move an eighth of the model between GPUs of a server.
        sync_ns: pause after it.
        server_gpus: of one server.
    """

    profile: EnergyProfile
    margin: float = 0.9
    clock_aware: bool = False
    epoch_s: float = PERIOD_NS / 1e9
    tau_ns: int = TAU_NS
    sync_ns: int = SYNC_NS
    server_gpus: int = SERVER_GPUS
    _known: dict[tuple[int, int, int], Sharding] = field(default_factory=dict, repr=False)

    def sharding(self, class_id: int, servers: int, load_per_s: float) -> Sharding:
        """Replicas that carry a load on some servers for the least power at the highest clock.

        Raises:
            ValueError: there is no server, or no TP keeps the objectives of the class.
        """
        quantum = self.profile.load_max(class_id, self.profile.tps[-1]) * servers * _QUANTUM
        steps = math.ceil(load_per_s / quantum - 1e-9) if quantum > 0 else 0
        key = (class_id, servers, steps)
        if key not in self._known:
            gpus = servers * self.server_gpus
            idle_w = self.profile.idle_gpu_w
            self._known[key] = solve(self._options(class_id), gpus, steps * quantum, idle_w)
        return self._known[key]

    def _options(self, class_id: int) -> list[Option]:
        options = []
        for tp in self.profile.tps:
            most = self.profile.load_max(class_id, tp) * self.margin
            if most > 0:
                options += [
                    Option(tp, most * level, self._replica_w(class_id, tp, most * level))
                    for level in _LEVELS
                ]
        if not options:
            name = self.profile.classes[class_id]
            raise ValueError(f"no tensor parallelism keeps the objectives of class {name}")
        return options

    def capacity(self, class_id: int, tps: Sequence[int]) -> float:
        """Load that replicas of these TPs are planned for, at the highest clock."""
        return self.margin * sum(self.profile.load_max(class_id, tp) for tp in tps)

    def power_w(self, class_id: int, tps: Sequence[int], servers: int, load_per_s: float) -> float:
        """Power of a pool: every replica is used to the same share of its highest load, other GPUs idle.

        Infinite where the replicas cannot carry the load.
        """
        capacity = self.capacity(class_id, tps)
        if load_per_s > capacity * (1 + 1e-9) or not tps:
            return math.inf
        share = load_per_s / capacity * self.margin
        total = (servers * self.server_gpus - sum(tps)) * self.profile.idle_gpu_w
        for tp, number in sorted(Counter(tps).items()):
            load = share * self.profile.load_max(class_id, tp)
            total += number * self._replica_w(class_id, tp, load)
        return total

    def _replica_w(self, class_id: int, tp: int, load_per_s: float) -> float:
        if self.clock_aware:
            return self.profile.best_power(class_id, tp, load_per_s)[1]
        return self.profile.power(class_id, tp, self.profile.clock_max_mhz, load_per_s)

    def plan(
        self, class_id: int, layouts: Sequence[Layout], load_per_s: float
    ) -> tuple[Change, ...]:
        """Changes of a pool's servers for the next epoch; none where they would not pay.

        Args:
            class_id: of the pool.
            layouts: TPs of each of its servers now; an empty one is loaded from nothing.
            load_per_s: forecast for the epoch.
        """
        if not layouts:
            return ()
        target = self.sharding(class_id, len(layouts), load_per_s)
        changes = self.transition(layouts, pack(target.replicas(), len(layouts), self.server_gpus))
        now = [tp for layout in layouts for tp in layout]
        wanted = [tp for tp, number in target.replicas().items() for _ in range(number)]
        before_w = self.power_w(class_id, now, len(layouts), load_per_s)
        if math.isinf(before_w):
            better = self.capacity(class_id, wanted) > self.capacity(class_id, now) * (1 + 1e-9)
            return changes if better else ()
        after_w = self.power_w(class_id, wanted, len(layouts), load_per_s)
        saved_j = (before_w - after_w) * self.epoch_s
        return changes if saved_j > self.overhead_j(class_id, changes) else ()

    def overhead_j(self, class_id: int, changes: Sequence[Change]) -> float:
        """Energy that the changes cost: servers at their highest power while weights move and engines agree."""
        tp = self.profile.tps[-1]
        most_w = self.profile.power(
            class_id, tp, self.profile.clock_max_mhz, self.profile.load_max(class_id, tp)
        )
        busy_s = sum(change.units * self.tau_ns + self.sync_ns for change in changes) / 1e9
        return most_w * busy_s

    def transition(self, old: Sequence[Layout], new: Sequence[Layout]) -> tuple[Change, ...]:
        """Which server takes which layout, so that the least weights move in all; servers that stay are left out."""
        cost = np.array([[_change_cost(before, after) for after in new] for before in old])
        rows, columns = linear_sum_assignment(cost)
        return tuple(
            Change(int(row), new[int(column)], move_units(old[int(row)], new[int(column)]))
            for row, column in zip(rows, columns, strict=True)
            if old[int(row)] != new[int(column)]
        )


def pack(replicas: dict[int, int], servers: int, server_gpus: int = SERVER_GPUS) -> list[Layout]:
    """Replicas on servers, largest first; TPs that divide one another always fit if their GPUs do.

    Raises:
        ValueError: they need more GPUs than there are.
    """
    layouts: list[list[int]] = [[] for _ in range(servers)]
    for tp in sorted(replicas, reverse=True):
        for _ in range(replicas[tp]):
            free = [k for k, held in enumerate(layouts) if sum(held) + tp <= server_gpus]
            if not free:
                raise ValueError(f"{replicas} need more than {servers} servers")
            layouts[free[0]].append(tp)
    return [tuple(held) for held in layouts]


def parts(old: Layout, new: Layout) -> tuple[Layout, Layout]:
    """What goes and what comes when one layout becomes another: replicas of a TP in both stay as they are."""
    keep = Counter(old) & Counter(new)
    return (
        tuple(sorted((Counter(old) - keep).elements(), reverse=True)),
        tuple(sorted((Counter(new) - keep).elements(), reverse=True)),
    )


def move_units(old: Layout, new: Layout) -> int:
    """Cost of one server's change, in units of moving an eighth of the model.

    A server that held nothing gets its weights from outside, and one whose replicas only stop moves nothing.
    """
    gone, come = parts(old, new)
    if not come or not old:
        return 0
    # Replicas that stay may lend their weights when those that come find no other source.
    return reshard_plan(gone or old, come).units if gone else reshard_plan(old, (*old, *come)).units


def _change_cost(old: Layout, new: Layout) -> float:
    if old == new:
        return 0.0
    # Any change costs something, so that of equal plans the one with fewer servers touched wins.
    return 0.1 + move_units(old, new) + (0.5 if not old else 0.0)
