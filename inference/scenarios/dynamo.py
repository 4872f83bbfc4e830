"""DynamoLLM and its baselines as a scenario's whole management: routing, scaling, sharding and clocks (`routing.policy = "dynamo"`).

The scenario's one group of replicas says what a server holds, and with its count how many servers the cluster has; the
managers decide how many of them run, how they are sharded, and at which clocks. What days before the run tell is taken
from the run's own trace (a perfect history): the rate of each class by slot, and its highest for a static composition.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from inference.domain.replica import ReplicaSpec
from inference.errors import ScenarioError
from inference.models.latency import latency_model, latency_provenance
from inference.models.power import power_model
from inference.policies.dynamo.assembly import Assembly, Site, assemble
from inference.policies.dynamo.baselines import COMPOSITIONS, Composition
from inference.policies.dynamo.classes import TABLE_IV, TERCILES, Taxonomy, quantile_taxonomy
from inference.policies.dynamo.cluster import SERVER_GPUS
from inference.policies.dynamo.forecast import SLOT_NS
from inference.policies.dynamo.predictor import ClassPredictor
from inference.policies.dynamo.profile import CLOCKS_MHZ, TPS, EnergyProfile
from inference.policies.dynamo.survey import Bench, survey
from inference.policies.dynamo.workload import workloads_of
from inference.policies.parameters import decode
from inference.scenarios.fleet import Fleet
from inference.scenarios.policies import Dynamo
from inference.scenarios.spec import Scenario
from inference.traces.trace import Int64, Trace


@dataclass(frozen=True, slots=True)
class Managed:
    """A cluster that its managers run.

    Attributes:
        assembly: policies and the replicas to start with.
        pools: names by pool index.
        predictor: what policies are told of outputs; None for the truth.
    """

    assembly: Assembly
    pools: tuple[str, ...]
    predictor: ClassPredictor | None


def managed(scenario: Scenario, fleet: Fleet, trace: Trace, source: str) -> Managed:
    """Survey the hardware for the trace's classes, and put the composition together.

    Raises:
        ScenarioError: a setting is wrong, or the replicas are not one group of whole servers.
        ProfileError: nobody profiled the model on that GPU at a tensor parallelism that the composition may choose.
    """
    parameters = scenario.routing.parameters
    settings = decode(Dynamo, parameters, source, "routing.parameters")
    composition = COMPOSITIONS[settings.composition]
    spec = _one_kind(scenario, fleet, source)
    slo = TABLE_IV if settings.edges == "table_iv" else TERCILES
    prompts, outputs = trace.prompt_tokens, trace.output_tokens
    pools = slo if composition.by_class else quantile_taxonomy(prompts, outputs, 1, 1, slo)
    workloads, _ = workloads_of(prompts, outputs, pools, slo)
    tps = TPS if composition.shards else (SERVER_GPUS,)
    clocks = _clocks(spec)
    profile: EnergyProfile = survey(workloads, _bench(spec), tps, clocks)
    site = Site(
        taxonomy=pools,
        profile=profile,
        spec=spec,
        history_per_s=_history(trace, pools, composition),
        servers_max=len(fleet.specs),
        margin=settings.margin,
        headroom=settings.headroom,
    )
    predictor = None
    if settings.accuracy < 1.0:
        answers = _answers(outputs, pools)
        predictor = ClassPredictor(pools, answers, settings.accuracy, scenario.seed)
    names = tuple(one.name for one in pools.classes)
    return Managed(assemble(composition, site), names, predictor)


def _one_kind(scenario: Scenario, fleet: Fleet, source: str) -> ReplicaSpec:
    spec = fleet.specs[0]
    if len(scenario.replicas) != 1 or spec.tp != SERVER_GPUS or len(scenario.models) != 1:
        expected = (
            f"expected one group with tp = {SERVER_GPUS} for policy dynamo: its count is of servers"
        )
        raise ScenarioError(source, "replicas", expected)
    return spec


def _clocks(spec: ReplicaSpec) -> tuple[int, ...]:
    """DynamoLLM's clocks as far as the GPU has them, and its highest."""
    highest = spec.gpu.clock_mhz_max
    return (*(clock for clock in CLOCKS_MHZ if clock < highest), highest)


def _bench(spec: ReplicaSpec) -> Bench:
    model, gpu = spec.model, spec.gpu
    whole = power_model(model, gpu, SERVER_GPUS)
    return Bench(
        model=model,
        gpu=gpu,
        latency=partial(latency_model, model, gpu, mode="context"),
        power=partial(power_model, model, gpu),
        idle_gpu_w=whole.idle_w / SERVER_GPUS,
        provenance=latency_provenance(model, gpu, SERVER_GPUS, "context"),
    )


def _history(
    trace: Trace, pools: Taxonomy, composition: Composition
) -> tuple[tuple[float, ...], ...]:
    """Rate of each class by slot of the forecast; for a composition without forecast one row, its highest ones."""
    classes = pools.classify_columns(trace.prompt_tokens, trace.output_tokens)
    slots = trace.arrival_ns // SLOT_NS
    count = int(slots[-1]) + 1
    arrivals = np.zeros((count, len(pools)))
    np.add.at(arrivals, (slots, classes), 1.0)
    lengths_ns = np.full(count, float(SLOT_NS))
    # The last slot ends with the last arrival; a sliver of it would tell a rate of nothing or of anything.
    last_ns = trace.duration_ns - (count - 1) * SLOT_NS
    if count > 1 and last_ns < SLOT_NS / 2:
        arrivals, lengths_ns = arrivals[:-1], lengths_ns[:-1]
    else:
        lengths_ns[-1] = max(last_ns, 1)
    rates = arrivals / lengths_ns[:, np.newaxis] * 1e9
    known = rates if composition.scales else rates.max(axis=0, keepdims=True)
    return tuple(tuple(row) for row in known.tolist())


def _answers(outputs: Int64, pools: Taxonomy) -> tuple[int, ...]:
    """A length for each output bin: the mean of the trace's in it, or the bin's lower end where there are none."""
    edges = (1, *pools.output_edges)
    bins = np.searchsorted(pools.output_edges, outputs, side="right")
    answers = []
    for index, lowest in enumerate(edges):
        inside = outputs[bins == index]
        answers.append(round(float(inside.mean())) if len(inside) else lowest)
    return tuple(answers)
