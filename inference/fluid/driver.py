"""Runs one composition of DynamoLLM's managers over a demand, step by step.

Read first: this is a fluid model. Load is a rate, every replica of a pool is used evenly, changes take effect at once
(their energy is counted), and no request has a latency: a step either lies within what the profile says keeps the
objectives, or its excess is reported as unmet. The instance manager is called once a step, for at a constant load its
choice does not change from one period to the next.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.fluid.demand import Demand
from inference.fluid.fleet import Draw, Fleet, draw_of
from inference.policies.dynamo import cluster
from inference.policies.dynamo.baselines import Composition
from inference.policies.dynamo.classes import Taxonomy
from inference.policies.dynamo.cluster import SERVER_GPUS, ServerPlanner
from inference.policies.dynamo.forecast import MONDAY, Calendar, WeeklyTemplate
from inference.policies.dynamo.pool import Layout, PoolPlanner
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.spill import Equivalence

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FluidResult:
    """One run, by step.

    Attributes:
        name: of the composition.
        step_s: length of a step.
        power_w: of all GPUs of servers in use.
        servers: in use.
        gpus: that hold a replica.
        clock_mhz: mean over those.
        unmet: servers' worth of load that no pool could carry within its objectives.
        demand: servers' worth of all load.
        resharded: servers re-sharded over the run.
        overhead_j: energy of re-sharding, included in `power_w`.
    """

    name: str
    step_s: float
    power_w: Float64
    servers: Int64
    gpus: Int64
    clock_mhz: Float64
    unmet: Float64
    demand: Float64
    resharded: int
    overhead_j: float

    @property
    def energy_j(self) -> float:
        """Over the whole run."""
        return float(self.power_w.sum()) * self.step_s

    @property
    def unmet_share(self) -> float:
        """Share of the load that was beyond the objectives."""
        return float(self.unmet.sum() / self.demand.sum())


@dataclass(frozen=True, slots=True)
class Site:
    """What the planners plan with.

    Attributes:
        taxonomy: of the pools.
        profile: of its classes.
        servers_max: of the cluster; None for as many as are wanted.
        margin: share of a replica's highest load that is planned for.
        calendar: of the run.
        headroom: of the forecast.
    """

    taxonomy: Taxonomy
    profile: EnergyProfile
    servers_max: int | None = None
    margin: float = 0.9
    calendar: Calendar = MONDAY
    headroom: float = 0.1


def run_fluid(
    composition: Composition,
    site: Site,
    demand: Demand,
    servers: tuple[int, ...] | None = None,
    template: WeeklyTemplate | None = None,
) -> FluidResult:
    """Run a composition.

    Args:
        composition: which managers run.
        site: pools and their profile.
        demand: by pool of `site.taxonomy`.
        servers: of each pool, where they are static; by default enough for each pool's peak over the run with the same
            headroom that forecasts get, rounded up.
        template: of the forecast, with what it has learned before; a fresh one by default.
    """
    return _Run(composition, site, demand, servers, template).result()


class _Run:
    def __init__(
        self,
        composition: Composition,
        site: Site,
        demand: Demand,
        servers: tuple[int, ...] | None,
        template: WeeklyTemplate | None,
    ) -> None:
        self._composition, self._site, self._demand = composition, site, demand
        self._step_ns = round(demand.step_s * 1e9)
        self._template = template or WeeklyTemplate(
            len(site.taxonomy), site.calendar, self._step_ns, site.headroom
        )
        self._equivalence = Equivalence(site.profile, site.taxonomy)
        self._pools = PoolPlanner(
            site.profile, site.margin, composition.clock_aware, epoch_s=demand.step_s
        )
        self._cluster = ServerPlanner(
            site.profile, site.taxonomy, composition.scales, utilisation=site.margin
        )
        static = servers or self._cluster_static()
        self._fleet = Fleet([[(SERVER_GPUS,)] * number for number in static])
        self._overhead_j = 0.0

    def _cluster_static(self) -> tuple[int, ...]:
        site = self._site
        planner = ServerPlanner(site.profile, site.taxonomy, False, utilisation=site.margin)
        peak = self._demand.peak * (1.0 + site.headroom)
        return planner.plan(peak.tolist(), site.servers_max).servers

    def result(self) -> FluidResult:
        rows = self._demand.per_s
        work = rows if self._demand.work_per_s is None else self._demand.work_per_s
        epoch = max(1, round(cluster.PERIOD_NS / self._step_ns))
        power, servers, gpus, clocks, unmet = [], [], [], [], []
        for step in range(len(rows)):
            now_ns = step * self._step_ns
            if step == 0:
                # A cluster that starts knows its present load, as it would from the minutes before.
                self._template.observe(now_ns, rows[0])
            if self._composition.scales and step % epoch == 0:
                self._scale(now_ns)
            overhead_j = self._shard(now_ns) if self._composition.shards else 0.0
            draws, beyond = self._draw(rows[step], work[step])
            self._overhead_j += overhead_j
            power.append(sum(d.power_w for d in draws) + overhead_j / self._demand.step_s)
            servers.append(self._fleet.servers)
            gpus.append(sum(d.gpus for d in draws))
            clocks.append(sum(d.clock_mhz * d.gpus for d in draws) / max(1, gpus[-1]))
            unmet.append(beyond)
            if step:
                self._template.observe(now_ns, rows[step])
        weights = [1 / load if load > 0 else 0.0 for load in self._equivalence.server_load]
        return FluidResult(
            self._composition.name,
            self._demand.step_s,
            np.array(power),
            np.array(servers, dtype=np.int64),
            np.array(gpus, dtype=np.int64),
            np.array(clocks),
            np.array(unmet),
            rows @ np.array(weights),
            self._fleet.resharded,
            self._overhead_j,
        )

    def _scale(self, now_ns: int) -> None:
        peak = self._template.peak(now_ns, cluster.PERIOD_NS)
        plan = self._cluster.plan(peak.tolist(), self._site.servers_max)
        self._fleet.resize(plan.servers)

    def _shard(self, now_ns: int) -> float:
        """Plan every pool for the load that reaches it once what its servers cannot carry has spilled."""
        expected = self._template.peak(now_ns, self._step_ns).tolist()
        whole = [
            self._pools.capacity(pool, (SERVER_GPUS,) * len(layouts))
            for pool, layouts in enumerate(self._fleet.layouts)
        ]
        carried = self._equivalence.spill(expected, whole).carried
        spent_j = 0.0
        for pool, layouts in enumerate(self._fleet.layouts):
            changes = self._pools.plan(pool, layouts, carried[pool])
            spent_j += self._pools.overhead_j(pool, changes)
            self._fleet.reshard(pool, changes)
        return spent_j

    def _draw(self, load: Float64, work: Float64) -> tuple[list[Draw], float]:
        fleet, profile = self._fleet, self._site.profile
        limits = [_limit(profile, pool, layouts) for pool, layouts in enumerate(fleet.layouts)]
        spilled = self._equivalence.spill(load.tolist(), limits, work.tolist())
        draws = [
            draw_of(
                profile,
                pool,
                layouts,
                spilled.carried[pool],
                self._composition.clocks,
                spilled.work[pool],
            )
            for pool, layouts in enumerate(fleet.layouts)
        ]
        return draws, spilled.unmet


def _limit(profile: EnergyProfile, pool: int, layouts: list[Layout]) -> float:
    return math.fsum(profile.load_max(pool, tp) for layout in layouts for tp in layout)
