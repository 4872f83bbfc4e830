"""Puts a composition together: routing, managers, predictor and the replicas to start with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.domain.replica import ReplicaSpec
from inference.policies.dynamo import cluster, instance
from inference.policies.dynamo.baselines import Composition
from inference.policies.dynamo.classes import Taxonomy
from inference.policies.dynamo.cluster import ServerPlanner
from inference.policies.dynamo.control import Controller
from inference.policies.dynamo.escalation import Escalation
from inference.policies.dynamo.forecast import MONDAY, SLOT_NS, Calendar, WeeklyTemplate
from inference.policies.dynamo.instance import ClockGovernor
from inference.policies.dynamo.loads import LoadBook
from inference.policies.dynamo.placement import START_NS, Placement
from inference.policies.dynamo.pool import PoolPlanner
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.routing import DynamoFrontend
from inference.policies.dynamo.spill import Equivalence
from inference.policies.protocols import ControlPolicy


@dataclass(frozen=True, slots=True)
class Site:
    """What a composition is set up with.

    Attributes:
        taxonomy, profile: of the pools.
        spec: of a replica; TP and pool are chosen.
        servers: of each pool at the start; None for what the cluster manager plans from the history.
        history_per_s: load of each pool by slot from the run's beginning, as days before told it; at least one row.
        servers_max: of the cluster; None for as many as are wanted.
        margin: share of a replica's highest load that is planned for.
        headroom: of the forecast.
        calendar: of the run.
        start_ns: until a fresh server's replica accepts requests.
    """

    taxonomy: Taxonomy
    profile: EnergyProfile
    spec: ReplicaSpec
    history_per_s: tuple[tuple[float, ...], ...]
    servers: tuple[int, ...] | None = None
    servers_max: int | None = None
    margin: float = 0.9
    headroom: float = 0.1
    calendar: Calendar = MONDAY
    start_ns: int = START_NS


@dataclass(frozen=True, slots=True)
class Assembly:
    """A composition, ready for a driver. All of it keeps state: make a new one for each run.

    Attributes:
        routing: the cluster frontend.
        controls: the managers, in the order in which they are to be called.
        replicas: to start with, in the order of their indices.
        classify: class of a request, for its prompt and its predicted output.
        controller: what the managers share, open to inspection.
    """

    routing: DynamoFrontend
    controls: tuple[ControlPolicy, ...]
    replicas: tuple[ReplicaSpec, ...]
    classify: Callable[[int, int], int]
    controller: Controller


def assemble(composition: Composition, site: Site) -> Assembly:
    """Build a composition's policies.

    Raises:
        ValueError: the composition has one pool but the taxonomy has several classes.
    """
    if not composition.by_class and len(site.taxonomy) != 1:
        raise ValueError(f"{composition.name} has one pool, {site.taxonomy.name} more classes")
    profile, taxonomy = site.profile, site.taxonomy
    loads = LoadBook(len(taxonomy), Equivalence(profile, taxonomy))
    template = WeeklyTemplate(len(taxonomy), site.calendar, headroom=site.headroom)
    for slot, row in reversed(list(enumerate(site.history_per_s))):
        template.observe(slot * SLOT_NS, row)
    planner = ServerPlanner(profile, taxonomy, composition.scales, site.margin)
    servers = site.servers or _planned(composition, planner, site)
    placement = Placement(site.spec, servers, site.start_ns)
    controller = Controller(
        composition=composition,
        taxonomy=taxonomy,
        profile=profile,
        placement=placement,
        loads=loads,
        template=template,
        servers=planner,
        pools=PoolPlanner(profile, site.margin, composition.clock_aware),
        clocks=ClockGovernor(profile),
        escalation=_escalation(taxonomy) if composition.packs else None,
        servers_max=site.servers_max,
    )
    return Assembly(
        DynamoFrontend(taxonomy, profile, loads, composition.packs, composition.scales),
        controller.managers(),
        tuple(placement.initial_specs()),
        taxonomy.classify,
        controller,
    )


def _planned(composition: Composition, planner: ServerPlanner, site: Site) -> Sequence[int]:
    """Enough for the first epoch, or for the whole run where nobody will change it; both with the same headroom."""
    epoch = max(1, cluster.PERIOD_NS // SLOT_NS)
    rows = site.history_per_s[:epoch] if composition.scales else site.history_per_s
    peak = [max(column) * (1.0 + site.headroom) for column in zip(*rows, strict=True)]
    return planner.plan(peak, site.servers_max).servers


def _escalation(taxonomy: Taxonomy) -> Escalation:
    def promised_ms(prompt_tokens: int) -> float:
        return taxonomy.classes[taxonomy.classify(prompt_tokens, 1)].ttft_ms

    return Escalation(promised_ms, clock_delay_ns=instance.CLOCK_DELAY_NS)
