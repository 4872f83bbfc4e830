"""DY1 to DY3, DY9 and DY10: one hour of requests through the simulator, under each composition.

Arrivals have the rate of the public 2023 conversation hour, minute by minute, scaled so that SinglePool needs 12 servers
at its busiest five minutes; within a minute they are Poisson, and lengths are drawn in pairs from the same trace. At its
terciles that trace has the paper's mix of classes. The forecast's history is the hour itself, each five minutes off by a
factor of 10 % deviation: what a template of earlier weeks may know. Static pools are sized like SinglePool, by the busiest
five minutes as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from inference.domain.replica import ReplicaSpec
from inference.experiments.dynamo.site import (
    GPU,
    HEADROOM,
    MARGIN,
    MODEL,
    SINGLE,
    Float64,
    Service,
    bench,
    rate_for,
    service_of,
)
from inference.experiments.outcome import Runs, Target
from inference.models.latency import latency_model
from inference.models.power import power_model
from inference.models.protocols import LatencyModel, PowerModel
from inference.policies.batching.splitwise import SplitwiseBatching
from inference.policies.dynamo.assembly import Assembly, Site, assemble
from inference.policies.dynamo.baselines import COMPOSITIONS
from inference.policies.dynamo.classes import TBT_MS, TERCILES
from inference.policies.dynamo.cluster import SERVER_GPUS, ServerPlanner
from inference.policies.dynamo.predictor import PAPER_ACCURACY
from inference.results.run import RunResult, Status
from inference.sim.mechanisms import Mechanisms
from inference.sim.simulation import Plan, Simulation
from inference.sim.transfers import PrivateTransfers
from inference.traces.azure import azure_2023
from inference.traces.trace import Trace, trace_of

SERVERS = 12
SEED = 1
SERIES_S = 5
_MINUTE_NS = 60 * 10**9
_SLOT_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Hour:
    """One run, reduced.

    Attributes:
        energy_kwh: of all GPUs of servers in use, those without a replica included.
        power_w_p50, power_w_p99: of the cluster, over 5-second samples while requests arrive.
        ttft_ms, tbt_ms: (P50, P99) over all requests; TBT is a request's mean.
        held: smallest share of requests within TTFT of their prompt bin, over bins; and the share within TBT. What did not
            complete held nothing.
        failed: requests that did not complete.
        servers: mean in use.
        cpu_s: processor time.
    """

    energy_kwh: float
    power_w_p50: float
    power_w_p99: float
    ttft_ms: tuple[float, float]
    tbt_ms: tuple[float, float]
    held: tuple[float, float]
    failed: int
    servers: float
    cpu_s: float


def minute_rates(level: float) -> Float64:
    """Requests per second in each minute of the hour; `level` 1 fills SinglePool's 12 servers at the busiest slot."""
    arrivals = azure_2023("conv").arrival_ns
    minutes = int(arrivals[-1]) // _MINUTE_NS
    counts = np.bincount(arrivals // _MINUTE_NS, minlength=minutes)[:minutes].astype(np.float64)
    busiest = np.convolve(counts, np.ones(_SLOT_MINUTES) / _SLOT_MINUTES, "valid").max()
    return np.asarray(counts / busiest * rate_for("conv", SERVERS) * level, dtype=np.float64)


def requests_of(per_s: Float64, seed: int) -> Trace:
    """Poisson arrivals at a rate by minute, with lengths of the 2023 conversation trace."""
    random = np.random.default_rng(seed)
    source = azure_2023("conv")
    counts = random.poisson(per_s * 60.0)
    starts = np.repeat(np.arange(len(per_s)) * _MINUTE_NS, counts)
    arrivals = np.sort(starts + random.integers(0, _MINUTE_NS, int(counts.sum())))
    rows = random.integers(0, len(source), len(arrivals))
    return trace_of(
        "dynamo-hour",
        arrivals,
        source.prompt_tokens[rows],
        source.output_tokens[rows],
        description=f"{source.description}; rate by minute scaled, Poisson, seed {seed}",
    )


def _history(service: Service, per_s: Float64, seed: int) -> tuple[tuple[float, ...], ...]:
    random = np.random.default_rng(seed + 1000)
    slots = [per_s[k : k + _SLOT_MINUTES].mean() for k in range(0, len(per_s), _SLOT_MINUTES)]
    known = np.array(slots) * np.exp(random.normal(0.0, 0.1, len(slots)))
    return tuple(tuple((service.shares * rate).tolist()) for rate in known)


def static_servers(service: Service) -> tuple[int, ...]:
    """Servers of each pool that nobody will change, for the load that SinglePool's are enough for."""
    planner = ServerPlanner(service.profile, service.taxonomy, False, MARGIN)
    peak = service.shares * rate_for("conv", SERVERS) * (1.0 + HEADROOM)
    return planner.plan(peak.tolist()).servers


@cache
def run_hour(
    name: str,
    level: float = 1.0,
    accuracy: float = PAPER_ACCURACY,
    seed: int = SEED,
    steady: bool = False,
) -> Hour:
    """One composition over the hour; `steady` for the same rate, `level` of the busiest slot's, in all its minutes."""
    composition = COMPOSITIONS[name]
    service = service_of("conv") if composition.by_class else service_of("conv", SINGLE)
    per_s = minute_rates(level)
    if steady:
        per_s = np.full(len(per_s), rate_for("conv", SERVERS) * level)
    servers = None if composition.scales else static_servers(service)
    site = Site(
        service.taxonomy,
        service.profile,
        ReplicaSpec(GPU, MODEL, SERVER_GPUS),
        _history(service, per_s, seed),
        servers if composition.by_class else (SERVERS,),
        # The experiment's cluster; static pools may have more, for that is what they cost.
        SERVERS if composition.scales else None,
        margin=MARGIN,
        headroom=HEADROOM,
    )
    made = assemble(composition, site)
    latency: dict[int, LatencyModel] = {}
    power: dict[int, PowerModel] = {}
    for tp in service.profile.tps:
        latency[tp], power[tp] = (
            latency_model(MODEL, GPU, tp, "context"),
            power_model(MODEL, GPU, tp),
        )
    mechanisms = Mechanisms(
        routing=made.routing,
        batching=lambda spec: SplitwiseBatching(),
        latency=lambda spec: latency[spec.tp],
        power=lambda spec: power[spec.tp],
        transfers=lambda events, replicas: PrivateTransfers(events),
        predictor=service.predictor(accuracy, seed),
        classify=made.classify,
    )
    plan = Plan(
        f"dynamo-hour-{name}",
        seed,
        requests_of(per_s, seed),
        made.replicas,
        mechanisms,
        controls=made.controls,
        series_period_ns=SERIES_S * 10**9,
        pools=service.profile.classes,
    )
    return _reduced(Simulation(plan).run(), made, len(per_s) * 60)


def _reduced(run: RunResult, made: Assembly, duration_s: int) -> Hour:
    assert run.series is not None
    rows = min(len(run.series.power_w), duration_s // SERIES_S)
    owned = np.zeros(rows)
    for at_ns, servers in made.controller.placement.owned:
        owned[at_ns // run.series.period_ns :] = servers
    idle = np.maximum(0.0, owned * SERVER_GPUS - run.series.pool_gpus[:rows].sum(axis=1))
    power_w = run.series.power_w[:rows] + idle * bench().idle_gpu_w
    joules = float(run.replicas.energy_j.sum() + idle.sum() * bench().idle_gpu_w * SERIES_S)
    done = run.requests.status == Status.COMPLETED
    requests = run.requests
    ttft = (requests.first_token_ns - requests.arrival_ns)[done] / 1e6
    gaps = requests.output_tokens[done] - 1
    decode = (requests.completion_ns - requests.first_token_ns)[done] / 1e6
    tbt = decode[gaps > 0] / gaps[gaps > 0]
    bins = np.searchsorted(TERCILES.prompt_edges, requests.prompt_tokens[done], side="right")
    promised = np.array([kind.ttft_ms for kind in TERCILES.classes[:: TERCILES.output_bins]])
    every = np.searchsorted(TERCILES.prompt_edges, requests.prompt_tokens, side="right")
    in_time = [
        float((ttft[bins == k] <= promised[k]).sum() / (every == k).sum())
        for k in range(len(promised))
    ]
    several = int((requests.output_tokens > 1).sum())
    return Hour(
        joules / 3.6e6,
        float(np.median(power_w)),
        float(np.percentile(power_w, 99)),
        (float(np.median(ttft)), float(np.percentile(ttft, 99))),
        (float(np.median(tbt)), float(np.percentile(tbt, 99))),
        (min(in_time), float((tbt <= TBT_MS).sum() / several)),
        int((~done).sum()),
        float(owned.mean()),
        run.cpu_s,
    )


def _change(ours: float, base: float) -> float:
    return 100.0 * (ours / base - 1.0)


_ENERGY: Mapping[str, tuple[str, float]] = {
    "MultiPool": ("+20 %", 20.0),
    "ScaleInst": ("-4.1 / -2 %", -3.0),
    "ScaleShard": ("-7 / -6 %", -6.5),
    "ScaleFreq": ("-19 %", -19.0),
    "DynamoLLM": ("-35 %", -35.0),
}


def energy() -> tuple[Target, ...]:
    """DY1: energy of each composition against SinglePool, their order, and the objectives."""
    runs = {name: run_hour(name) for name in COMPOSITIONS}
    base = runs["SinglePool"]
    shared = Runs("dynamo-hour", sum(run.cpu_s for run in runs.values()), SEED)
    made = [
        shared.target(
            f"DY1-{name.lower()}",
            f"energy of one hour, {name} against SinglePool",
            paper,
            _change(runs[name].energy_kwh, base.energy_kwh),
            "%",
            wanted - 5.0,
            wanted + 5.0,
            f"{runs[name].energy_kwh:.1f} of {base.energy_kwh:.1f} kWh; {runs[name].servers:.1f} servers",
        )
        for name, (paper, wanted) in _ENERGY.items()
    ]
    order = ["MultiPool", "SinglePool", "ScaleInst", "ScaleShard", "ScaleFreq", "DynamoLLM"]
    falling = sum(runs[more].energy_kwh > runs[less].energy_kwh for more, less in pairwise(order))
    made.append(
        shared.target(
            "DY1-order",
            "neighbours in the paper's order of energy that are in that order here",
            "5 of 5",
            falling,
            "count",
            5,
            5,
        )
    )
    for name, run in runs.items():
        made.append(
            shared.target(
                f"DY1-slo-{name.lower()}",
                f"requests within their objectives, worst prompt bin, {name}",
                "≥ 99 %",
                100.0 * min(run.held),
                "%",
                99.0,
                100.0,
                f"TTFT {100 * run.held[0]:.2f} %, TBT {100 * run.held[1]:.2f} %; {run.failed} failed",
            )
        )
    return tuple(made)


def latency() -> tuple[Target, ...]:
    """DY2: latency of DynamoLLM against SinglePool."""
    ours, base = run_hour("DynamoLLM"), run_hour("SinglePool")
    shared = Runs("dynamo-hour", ours.cpu_s + base.cpu_s, SEED)
    wanted = (
        ("ttft-p99", "P99 TTFT", -5.3, ours.ttft_ms[1], base.ttft_ms[1]),
        ("tbt-p99", "P99 TBT", -11.0, ours.tbt_ms[1], base.tbt_ms[1]),
        ("ttft-p50", "P50 TTFT", 11.4, ours.ttft_ms[0], base.ttft_ms[0]),
        ("tbt-p50", "P50 TBT", 7.6, ours.tbt_ms[0], base.tbt_ms[0]),
    )
    why = "every replica runs as near to its objectives as the profile allows, SinglePool far from them"
    return tuple(
        shared.target(
            f"DY2-{key}",
            f"{what}, DynamoLLM against SinglePool",
            f"{number:+g} %",
            _change(one, other),
            "%",
            number - 5.0,
            number + 5.0,
            f"{one:.0f} against {other:.0f} ms; {why}",
        )
        for key, what, number, one, other in wanted
    )


def power() -> tuple[Target, ...]:
    """DY3: power of the cluster."""
    ours, base = run_hour("DynamoLLM"), run_hour("SinglePool")
    shared = Runs("dynamo-hour", ours.cpu_s + base.cpu_s, SEED)
    return tuple(
        shared.target(
            f"DY3-{key}",
            f"{key.upper()} of the cluster's GPU power, DynamoLLM against SinglePool",
            f"{number:+g} %",
            _change(one, other),
            "%",
            number - 5.0,
            number + 5.0,
            f"{one / 1e3:.1f} against {other / 1e3:.1f} kW",
        )
        for key, number, one, other in (
            ("p50", -43.0, ours.power_w_p50, base.power_w_p50),
            ("p99", -9.0, ours.power_w_p99, base.power_w_p99),
        )
    )


def compositions() -> tuple[Target, ...]:
    """DY1 to DY3, which rest on the same runs."""
    return (*energy(), *latency(), *power())


def load_levels() -> tuple[Target, ...]:
    """DY9: savings at low, medium and high load, each Poisson at one rate, as in the paper.

    It does not say which loads; ours are 25, 50 and 90 % of what SinglePool's servers are for.
    """
    levels = (("low", 0.25, -51.0, -57.0), ("med", 0.5, -40.0, -42.0), ("high", 0.9, -23.4, -15.0))
    made, saved, cpu_s = [], [], 0.0
    for name, level, arxiv, hpca in levels:
        ours, base = (run_hour(one, level, steady=True) for one in ("DynamoLLM", "SinglePool"))
        spared_kwh = max(0.0, SERVERS - ours.servers) * SERVER_GPUS * bench().idle_gpu_w / 1e3
        spared_kwh *= len(minute_rates(level)) / 60.0
        kept = _change(ours.energy_kwh + spared_kwh, base.energy_kwh)
        cpu_s += ours.cpu_s + base.cpu_s
        saved.append(_change(ours.energy_kwh, base.energy_kwh))
        made.append(
            Runs("dynamo-steady", ours.cpu_s + base.cpu_s, SEED).target(
                f"DY9-{name}",
                f"energy at {name} load ({level:.0%} of the rated), DynamoLLM against SinglePool",
                f"{arxiv:g} / {hpca:g} %",
                saved[-1],
                "%",
                min(arxiv, hpca) - 5.0,
                max(arxiv, hpca) + 5.0,
                f"{ours.servers:.1f} servers, SinglePool keeps its 12; {kept:+.0f} % if those given back idled on;"
                f" within objectives: TTFT {100 * ours.held[0]:.1f} %, TBT {100 * ours.held[1]:.1f} %",
            )
        )
    rising = sum(less < more for less, more in pairwise(saved))
    made.append(
        Runs("dynamo-steady", cpu_s, SEED).target(
            "DY9-order", "less is saved at more load, steps", "2 of 2", rising, "count", 2, 2
        )
    )
    return tuple(made)


def accuracies() -> tuple[Target, ...]:
    """DY10: what a predictor that is right for 60 % of requests costs against one that always is."""
    worst, best = run_hour("DynamoLLM", accuracy=0.6), run_hour("DynamoLLM", accuracy=1.0)
    shared = Runs("dynamo-hour", worst.cpu_s + best.cpu_s, SEED)
    return (
        shared.target(
            "DY10-energy",
            "energy with 60 % of classes predicted right, against 100 %",
            "+13 / +25 %",
            _change(worst.energy_kwh, best.energy_kwh),
            "%",
            8.0,
            30.0,
            f"{best.servers:.1f} to {worst.servers:.1f} servers, P99 TBT {best.tbt_ms[1]:.0f} to {worst.tbt_ms[1]:.0f} ms,"
            f" {100 * min(worst.held):.1f} % within objectives: pools are planned by predicted classes, requests that"
            " seem shorter than they are take up the room that objectives leave before they ask for more",
        ),
        shared.target(
            "DY10-ttft",
            "P99 TTFT with 60 % of classes predicted right, against 100 %",
            "+7.3 / +12.3 %",
            _change(worst.ttft_ms[1], best.ttft_ms[1]),
            "%",
            2.3,
            17.3,
        ),
    )
