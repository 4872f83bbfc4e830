"""The composition root: a scenario becomes a plan that the simulator runs. Everything is new for each run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from inference.domain.replica import ReplicaSpec
from inference.errors import ScenarioError
from inference.models import clock, kv_transfer
from inference.models.carbon import DUCK_PROVENANCE
from inference.models.provenance import Provenance
from inference.models.server import server_kind, server_provenance
from inference.policies.batching.protocol import BatchingPolicy
from inference.policies.registry import disaggregation_policy, routing_policy
from inference.results.run import RunResult
from inference.scenarios.fleet import Fleet, check_room, fleet_of
from inference.scenarios.hardware import Hardware
from inference.scenarios.policies import BATCHING, POWER, RowContext
from inference.scenarios.requests import trace_of_scenario
from inference.scenarios.spec import MachineLoss, Scenario, SlowLink, Straggler
from inference.scenarios.trace_spec import WeekTrace
from inference.sim import faults as faulty
from inference.sim.events import EventQueue
from inference.sim.faults import Fault
from inference.sim.mechanisms import Mechanisms
from inference.sim.operations import Row
from inference.sim.replica import Replica
from inference.sim.simulation import Plan, Simulation
from inference.sim.transfers import PrivateTransfers, SharedTransfers, Transfers
from inference.traces.trace import Trace

DYNAMO = "dynamo"
SAMPLES_MAX = 2_000_000
"""Rows of a run's series."""
NS_PER_S = 1_000_000_000


def plan_of(scenario: Scenario, source: str = "") -> Plan:
    """Everything that one run is made of.

    Args:
        scenario: what to run.
        source: file that errors name; the scenario's name where empty.

    Raises:
        ScenarioError: a name, a parameter or a combination of keys is not possible, or no request fits.
        TraceError: the trace's file is not as it must be.
        ProfileError: nobody profiled the model on the GPU at that tensor parallelism.
    """
    source = source or scenario.name
    fleet = fleet_of(scenario, source)
    trace = trace_of_scenario(scenario, source)
    check_room(scenario, fleet, trace, source)
    _check_series(scenario, trace, source)
    hardware = Hardware(scenario, fleet)
    plan = Plan(
        name=scenario.name,
        seed=scenario.seed,
        trace=trace,
        replicas=fleet.specs,
        mechanisms=_mechanisms(scenario, hardware, source),
        row=_row(scenario, fleet, source),
        faults=_faults(scenario),
        series_period_ns=_ns(scenario.report.series_s),
        window_ns=_window(scenario),
        end_ns=_ns(scenario.limits.end_s) or None,
        pools=fleet.pools,
        models=scenario.models,
        provenance=hardware.provenance,
        warnings=lambda: (*_trace_warnings(scenario), *hardware.warnings()),
    )
    hardware.provenance.update(_further_provenance(scenario, fleet))
    return _managed(plan, scenario, fleet, source) if _has_managers(scenario) else plan


def simulate(
    scenario: Scenario, source: str = "", progress: Callable[[float], None] | None = None
) -> RunResult:
    """Run a scenario to its end; raises what `plan_of` and `Simulation.run` raise.

    Args:
        scenario: what to run.
        source: file that errors name.
        progress: told the share of arrivals that are past, 0 to 1.
    """
    plan = plan_of(scenario, source)
    run = Simulation(plan).run(progress)
    return replace(run, facts={**run.facts, **_facts(scenario, plan)})


def _facts(scenario: Scenario, plan: Plan) -> dict[str, str]:
    """What a reader of the results wants to know of the scenario, in words."""
    groups = (f"{group.count} x {group.gpu} {group.role}" for group in scenario.replicas.values())
    return {
        "source": scenario.source,
        "trace": plan.trace.description,
        "cluster": ", ".join(groups),
        "routing": scenario.routing.policy,
        "batching": scenario.batching.policy,
        "transfer": scenario.transfer.mode,
        "latency": scenario.latency,
    }


def _trace_warnings(scenario: Scenario) -> tuple[str, ...]:
    """In what the load differs from the trace that it is named after."""
    warnings = []
    if scenario.trace.sample < 1:
        warnings.append(f"the load is a sample: {scenario.trace.sample:g} of the trace's requests")
    if isinstance(scenario.trace, WeekTrace) and scenario.trace.rate_factor != 1:
        warnings.append(f"the trace's rates were scaled by {scenario.trace.rate_factor:g}")
    if scenario.limits.requests_max:
        warnings.append(f"at most {scenario.limits.requests_max} requests of the trace were taken")
    return tuple(warnings)


def _check_series(scenario: Scenario, trace: Trace, source: str) -> None:
    period_s, duration_s = scenario.report.series_s, trace.duration_ns / NS_PER_S
    if period_s and duration_s / period_s > SAMPLES_MAX:
        expected = (
            f"expected at least {duration_s / SAMPLES_MAX:.2g} s over {duration_s:g} s of trace"
        )
        raise ScenarioError(source, "report.series_s", f"{expected}, found {period_s:g}")


def _has_managers(scenario: Scenario) -> bool:
    return scenario.routing.policy == DYNAMO


def _mechanisms(scenario: Scenario, hardware: Hardware, source: str) -> Mechanisms:
    routing = scenario.routing
    # Managers bring their own routing; until they do, any policy stands in.
    name, parameters = (
        ("token_jsq", {}) if _has_managers(scenario) else (routing.policy, routing.parameters)
    )
    return Mechanisms(
        routing=routing_policy(name, parameters, seed=scenario.seed, source=source),
        batching=_batching(scenario, source),
        latency=hardware.latency,
        power=hardware.power if hardware.powered else None,
        transfers=_transfers(scenario),
    )


def _managed(plan: Plan, scenario: Scenario, fleet: Fleet, source: str) -> Plan:
    """The plan with DynamoLLM's managers in charge of its cluster."""
    # Its planners need SciPy's solvers, a second of imports that other scenarios do without.
    from inference.scenarios import dynamo

    run = dynamo.managed(scenario, fleet, plan.trace, source)
    mechanisms = replace(
        plan.mechanisms,
        routing=run.assembly.routing,
        predictor=run.predictor,
        classify=run.assembly.classify,
    )
    return replace(
        plan,
        replicas=run.assembly.replicas,
        mechanisms=mechanisms,
        controls=run.assembly.controls,
        pools=run.pools,
    )


def _window(scenario: Scenario) -> tuple[int, int] | None:
    window = scenario.report.iterations_window_s
    return (_ns(window[0]), _ns(window[1])) if window else None


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def _further_provenance(scenario: Scenario, fleet: Fleet) -> dict[str, Provenance]:
    """Of what is not bound to a kind of replica, where the scenario uses it."""
    used: dict[str, Provenance] = {}
    slowed = any(one.clock_mhz for one in fleet.specs)
    if scenario.power is not None or _has_managers(scenario) or slowed:
        used["clock law"] = clock.PROVENANCE
    if scenario.transfer.mode in ("layerwise", "auto"):
        used["layer-wise KV transfer"] = kv_transfer.PROVENANCE
    if scenario.transfer.mode == "compat":
        used["KV transfer"] = kv_transfer.COMPAT_PROVENANCE
    if scenario.power is not None:
        used["power of servers"] = server_provenance()
    if scenario.report.carbon == "duck":
        used["carbon intensity"] = DUCK_PROVENANCE
    return used


def _row(scenario: Scenario, fleet: Fleet, source: str) -> Row | None:
    """The row that all replicas are in, with its controller."""
    spec = scenario.power
    if spec is None:
        return None
    provisioned_w, rest_w = spec.provisioned_w, spec.rest_w
    if not provisioned_w or not rest_w:
        servers_w = rests_w = 0.0
        for replica in fleet.specs:
            server = server_kind(replica.gpu)
            share = replica.tp / server.gpus
            half_w = (server.gpus_idle_w + server.gpus_full_w) / 2
            servers_w += share * server.provisioned_w
            rests_w += share * server.rest_w(half_w)
        provisioned_w, rest_w = provisioned_w or servers_w, rest_w or rests_w
    context = RowContext(provisioned_w, fleet.priorities)
    try:
        policy = POWER.make(spec.policy, spec.parameters, context, source=source, key="power")
    except ValueError as error:
        raise ScenarioError(source, "power.parameters", str(error)) from None
    return Row(policy, rest_w, _ns(spec.telemetry_delay_s))


def _batching(scenario: Scenario, source: str) -> Callable[[ReplicaSpec], BatchingPolicy]:
    spec = scenario.batching
    make = partial(BATCHING.make, spec.policy, spec.parameters, spec, source=source, key="batching")
    make()  # a wrong name or setting is said before anything runs
    return lambda replica: make()


def _transfers(scenario: Scenario) -> Callable[[EventQueue, list[Replica]], Transfers]:
    """Makes the carrier of KV caches. Links take their speed from the GPUs (`fleet` puts the scenario's into them)."""
    mode = scenario.transfer.mode
    if mode == "compat":
        return lambda events, replicas: PrivateTransfers(events)
    policy = disaggregation_policy("by_prompt_length" if mode == "auto" else mode)
    return lambda events, replicas: SharedTransfers(events, replicas, policy)


def _faults(scenario: Scenario) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    for one in scenario.failures:
        at_ns, for_ns = _ns(one.at_s), _ns(one.for_s)
        match one:
            case MachineLoss():
                faults.append(faulty.MachineLoss(one.replica, at_ns, for_ns))
            case Straggler():
                faults.append(faulty.Straggler(one.replica, one.factor, at_ns, for_ns))
            case SlowLink():
                faults.append(faulty.SlowLink(one.replica, one.factor, at_ns, for_ns))
    return tuple(faults)
