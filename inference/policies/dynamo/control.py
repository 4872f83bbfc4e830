"""DynamoLLM's three managers as control policies over one cluster (section IV): every 30 minutes, 5 minutes, 5 seconds.

Read first: they share a `Controller`, which holds the book of servers, the frontend's counts and the forecast. The cluster
manager resizes pools; the pool manager queues re-sharding of servers; the instance manager works that queue off a few
servers at a time, sets clocks, and climbs the escalation ladder where requests wait.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.domain.action import Action, SetClock
from inference.domain.view import ClusterView
from inference.policies.dynamo import cluster, instance, pool
from inference.policies.dynamo.baselines import Composition
from inference.policies.dynamo.classes import Taxonomy
from inference.policies.dynamo.cluster import SERVER_GPUS, ServerPlanner
from inference.policies.dynamo.escalation import Escalation, Refuge, Trouble
from inference.policies.dynamo.forecast import WeeklyTemplate
from inference.policies.dynamo.instance import ClockGovernor
from inference.policies.dynamo.loads import LoadBook
from inference.policies.dynamo.placement import Placement, Server, change_to
from inference.policies.dynamo.pool import Layout, PoolPlanner
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.spill import Equivalence


@dataclass(slots=True)
class Controller:
    """What the managers share.

    Attributes:
        composition: which of them act.
        taxonomy, profile: of the pools.
        placement: replicas by server.
        loads: written by the frontend.
        template: forecast of arrivals by class.
        servers, pools, clocks: the planners.
        escalation: the ladder; None for a system without one.
        servers_max: of the cluster; None for as many as are wanted.
        stagger: share of a pool's servers that may re-shard at the same time.
    """

    composition: Composition
    taxonomy: Taxonomy
    profile: EnergyProfile
    placement: Placement
    loads: LoadBook
    template: WeeklyTemplate
    servers: ServerPlanner
    pools: PoolPlanner
    clocks: ClockGovernor
    escalation: Escalation | None = None
    servers_max: int | None = None
    stagger: float = 0.34
    queued: deque[tuple[Server, Layout]] = field(default_factory=deque)

    def managers(self) -> tuple["ClusterControl", "PoolControl", "InstanceControl"]:
        """The three policies, in the order in which the driver is to call them."""
        return ClusterControl(self), PoolControl(self), InstanceControl(self)


@dataclass(slots=True)
class ClusterControl:
    """Servers of each pool, every 30 minutes."""

    shared: Controller

    @property
    def period_ns(self) -> int:
        """30 minutes."""
        return cluster.PERIOD_NS

    def decide(self, view: ClusterView, now_ns: int) -> Sequence[Action]:
        """Resize pools for the peak of the next epoch. At time 0 the cluster is as it was set up."""
        shared = self.shared
        actions = shared.placement.sync(view)
        if not shared.composition.scales or now_ns == 0:
            return actions
        peak = shared.template.peak(now_ns, cluster.PERIOD_NS).tolist()
        plan = shared.servers.plan(peak, shared.servers_max)
        return actions + shared.placement.resize(plan.servers, view, now_ns)


@dataclass(slots=True)
class PoolControl:
    """Tensor parallelism of each pool's replicas, every 5 minutes."""

    shared: Controller

    @property
    def period_ns(self) -> int:
        """5 minutes."""
        return pool.PERIOD_NS

    def decide(self, view: ClusterView, now_ns: int) -> Sequence[Action]:
        """Learn what the last slot's load was, and plan each pool for the next."""
        shared = self.shared
        rates = shared.loads.take_arrivals(now_ns)
        if rates is not None:
            shared.template.observe(now_ns - pool.PERIOD_NS, rates)
        if not shared.composition.shards:
            return ()
        shared.queued.clear()
        expected = shared.template.peak(now_ns, pool.PERIOD_NS).tolist()
        owned = [shared.placement.of_pool(one) for one in range(len(shared.taxonomy))]
        whole = [
            shared.pools.capacity(one, (SERVER_GPUS,) * len(servers))
            for one, servers in enumerate(owned)
        ]
        spill = Equivalence(shared.profile, shared.taxonomy).spill(expected, whole)
        for one, servers in enumerate(owned):
            settled = [server for server in servers if server.settled]
            if len(settled) < len(servers):
                continue
            layouts = [server.layout for server in servers]
            for change in shared.pools.plan(one, layouts, spill.carried[one]):
                shared.queued.append((servers[change.server], change.layout))
        return ()


@dataclass(slots=True)
class InstanceControl:
    """Clocks, re-sharding that is due, and requests in trouble, every 5 seconds."""

    shared: Controller

    @property
    def period_ns(self) -> int:
        """5 seconds."""
        return instance.PERIOD_NS

    def decide(self, view: ClusterView, now_ns: int) -> Sequence[Action]:
        """One round over all replicas."""
        shared = self.shared
        actions = shared.placement.sync(view)
        actions += self._reshard()
        replicas = [
            (replica, own, tp)
            for replica, own, tp in shared.placement.replicas()
            if view.accepting[replica]
        ]
        shared.loads.keep(replica for replica, _, _ in replicas)
        troubled: set[int] = set()
        if shared.escalation is not None:
            rescue = self._escalate(replicas, view, now_ns)
            troubled = {one.replica for one in rescue if isinstance(one, SetClock)}
            actions += rescue
        if shared.composition.clocks and now_ns:
            actions += [
                SetClock(replica, clock, instance.CLOCK_DELAY_NS)
                for replica, own, tp in replicas
                if replica not in troubled
                and (clock := self._clock(replica, own, tp, view, now_ns)) is not None
            ]
        return actions

    def _reshard(self) -> list[Action]:
        """Begin with what is queued, as far as a pool's servers are not busy with it already."""
        shared = self.shared
        actions: list[Action] = []
        waiting: deque[tuple[Server, Layout]] = deque()
        for server, layout in shared.queued:
            own = shared.placement.of_pool(server.pool)
            busy = sum(not one.settled for one in own)
            if server not in own or server.layout == layout:
                continue
            if not server.settled or busy >= max(1, math.floor(len(own) * shared.stagger)):
                waiting.append((server, layout))
                continue
            actions += shared.placement.reshard(server, change_to(server, layout))
        shared.queued = waiting
        return actions

    def _clock(self, replica: int, own: int, tp: int, view: ClusterView, now_ns: int) -> int | None:
        """By the larger of two loads: what was routed there lately, and what is there now (Little's law)."""
        shared = self.shared
        load = shared.loads.load(replica, now_ns)
        clock_mhz = view.clock_mhz[replica]
        if clock_mhz in shared.profile.clocks_mhz:
            cell = shared.profile.cell(own, tp, clock_mhz)
            present = view.running_requests[replica] + view.waiting_requests[replica]
            if cell.loads_per_s:
                load = max(load, cell.load_at(float(present)))
        return shared.clocks.clock(own, tp, load, clock_mhz)

    def _escalate(
        self, replicas: list[tuple[int, int, int]], view: ClusterView, now_ns: int
    ) -> list[Action]:
        shared = self.shared
        assert shared.escalation is not None
        actions: list[Action] = []
        for replica, own, tp in replicas:
            if not view.waiting_requests[replica]:
                continue
            top = shared.profile.cell(own, tp, shared.profile.clock_max_mhz)
            clock_mhz = view.clock_mhz[replica]
            known = clock_mhz in shared.profile.clocks_mhz
            present = shared.profile.cell(own, tp, clock_mhz) if known else top
            trouble = Trouble(
                replica,
                view.residents(replica),
                clock_mhz,
                shared.profile.clock_max_mhz if shared.composition.clocks else clock_mhz,
                present.queue_ms,
                top.queue_ms,
            )
            actions += shared.escalation.decide(
                trouble, self._refuges(replica, own, replicas, view), now_ns
            )
        return actions

    def _refuges(
        self, source: int, own: int, replicas: list[tuple[int, int, int]], view: ClusterView
    ) -> list[Refuge]:
        """Replicas of this pool and of larger ones, with what they can take on within half of their objective."""
        found = []
        for replica, other, tp in replicas:
            if replica == source or not self.shared.taxonomy.dominates(other, own):
                continue
            cell = self.shared.profile.cell(other, tp, self.shared.profile.clock_max_mhz)
            queued_ms = cell.queue_ms(float(view.pending_tokens[replica]))
            free_ms = self.shared.taxonomy.classes[other].ttft_ms / 2 - queued_ms
            if free_ms > 0:
                found.append(Refuge(replica, free_ms, cell.queue_ms))
        return found
