"""What a scenario says, as values: one frozen dataclass per TOML table, one field per key, units last in the names.

A field's annotation is its check: `schema.decode` reads type, range and closed sets from here, so that a key, its meaning
and its limits stand in one place. Tables that come in kinds (`trace`, `failures`, `slo`) are unions told apart by `kind`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from inference.scenarios.schema import Above, Between, Length, Nonempty

Scalar = bool | int | float | str
Parameters = Mapping[str, Scalar | tuple[Scalar, ...]]
"""A policy's own settings; the policy's maker knows their names and checks them (`inference.policies.registry`)."""

Count = Annotated[int, Between(0, 100_000)]
Tokens = Annotated[int, Between(1, 10_000_000)]
Seconds = Annotated[float, Between(0.0, 1e9)]
SecondsAbove0 = Annotated[float, Above(0.0, 1e9)]
Rate = Annotated[float, Above(0.0, 1e6)]
Share = Annotated[float, Between(0.0, 1.0)]
ShareAbove0 = Annotated[float, Above(0.0, 1.0)]
Name = Annotated[str, Nonempty()]
Service = Literal["conv", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinned:
    """What every kind of trace has.

    Attributes:
        sample: share of its requests that is kept, chosen by the scenario's seed.
        low_share: share of requests with low priority, chosen likewise; where it is 0, the trace's own priorities stay.
    """

    sample: ShareAbove0 = 1.0
    low_share: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureTrace(Thinned):
    """The hour of the Azure LLM inference trace 2023 as it was, or a part of it.

    Attributes:
        service: conversation or coding.
        start_s: seconds of it left out at first.
        duration_s: seconds of it that are used; 0 for all that follow.
    """

    kind: Literal["azure"] = "azure"
    service: Service = "conv"
    start_s: Seconds = 0.0
    duration_s: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonTrace(Thinned):
    """Poisson arrivals; lengths drawn with replacement from the Azure trace of 2023 (Splitwise, section 6.1).

    Attributes:
        lengths: whose lengths.
        rate_per_s: mean requests per second.
        duration_s: how long they arrive.
    """

    kind: Literal["poisson"] = "poisson"
    lengths: Service = "conv"
    rate_per_s: Rate
    duration_s: SecondsAbove0


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekTrace(Thinned):
    """The digitised rates of the Azure trace of 2024 over its week, or a part of it; arrivals are Poisson with that rate.

    Attributes:
        service: whose week.
        rate_factor: the true rates times this; 1 gives 27.3 million (conv) or 16.8 million (code) requests a week.
        start_s, duration_s: the part of the week; 604,800 s is all of it.
        lengths: pairs from the trace of 2023, or the digitised distributions of 2024.
    """

    kind: Literal["week"] = "week"
    service: Service = "conv"
    rate_factor: Annotated[float, Above(0.0, 1000.0)] = 1.0
    start_s: Annotated[float, Between(0.0, 604_800.0)] = 0.0
    duration_s: Annotated[float, Above(0.0, 604_800.0)] = 604_800.0
    lengths: Literal["2023", "2024"] = "2023"


@dataclass(frozen=True, slots=True, kw_only=True)
class MixTrace(Thinned):
    """Poisson arrivals with set shares of DynamoLLM's nine request classes.

    Attributes:
        percent: of each class by name ("SS" … "LL"), summing to 100; empty for the paper's conversation hour.
        rate_per_s: mean requests per second.
        duration_s: how long they arrive.
    """

    kind: Literal["mix"] = "mix"
    percent: Mapping[str, Annotated[float, Between(0.0, 100.0)]] = field(default_factory=dict)
    rate_per_s: Rate
    duration_s: SecondsAbove0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One kind of request; its lengths are uniform over their ranges.

    Attributes:
        share: of all requests, in proportion to the others'.
        prompt_tokens, output_tokens: lowest and highest length.
        low_share: share of its requests with low priority.
    """

    share: ShareAbove0
    prompt_tokens: Annotated[tuple[Tokens, ...], Length(2, 2)]
    output_tokens: Annotated[tuple[Tokens, ...], Length(2, 2)]
    low_share: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesTrace(Thinned):
    """Poisson arrivals of services whose lengths are known as ranges (POLCA, section 6).

    Attributes:
        services: by name; empty for POLCA's summarize, search and chat.
        rate_per_s: mean requests per second.
        duration_s: how long they arrive.
    """

    kind: Literal["services"] = "services"
    services: Mapping[str, ServiceSpec] = field(default_factory=dict)
    rate_per_s: Rate
    duration_s: SecondsAbove0


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTrace(Thinned):
    """A CSV file of requests, gzipped or not.

    Attributes:
        path: file; a relative one is looked for beside the scenario that names it.
        format: whose columns it has: "own" is arrival_s, prompt_tokens, output_tokens; "azure" as Azure published it.
    """

    kind: Literal["csv"] = "csv"
    path: Name
    format: Literal["own", "splitwise-sim", "vidur", "azure"] = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class MooncakeTrace(Thinned):
    """A trace in Mooncake's JSON lines (arrival, lengths, hashes of prefix blocks).

    Attributes:
        path: file; a relative one is looked for beside the scenario that names it.
    """

    kind: Literal["mooncake"] = "mooncake"
    path: Name


TraceSpec = (
    AzureTrace | PoissonTrace | WeekTrace | MixTrace | ServicesTrace | CsvTrace | MooncakeTrace
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec:
    """Alike replicas.

    Attributes:
        count: how many.
        gpu, model: names in `inference.models.catalog`; an empty model is the scenario's only one.
        tp: tensor parallelism, GPUs of each replica.
        role: home pool of Splitwise's scheduler.
        priority: of the work that its servers are for; a power policy caps low priority first.
        pool: name of the group they are managed and reported in; empty for the group's own name.
        clock_mhz: SM clock at start; 0 for the GPU's highest.
        power_cap_w: per GPU; 0 for none. Kept by the highest clock at which the group's largest iteration stays below it.
    """

    count: Count
    gpu: Name
    model: str = ""
    tp: Literal[1, 2, 4, 8] = 8
    role: Literal["prefill", "decode", "mixed"] = "mixed"
    priority: Literal["high", "low"] = "high"
    pool: str = ""
    clock_mhz: Annotated[int, Between(0, 5000)] = 0
    power_cap_w: Annotated[float, Between(0.0, 5000.0)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """A policy by its name in the registry.

    Attributes:
        policy: name.
        parameters: its own settings.
    """

    policy: Name
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSpec:
    """A controller of the power of the row that all replicas are in (POLCA).

    Attributes:
        policy: name.
        parameters: its own settings.
        provisioned_w: power that the row may draw; 0 for the data sheets of the servers that the GPUs fill.
        rest_w: of everything in the row that is no GPU, constant; 0 for the server model's at half of the GPUs' power.
        telemetry_delay_s: age of a sample when the controller has it.
    """

    policy: Name
    parameters: Parameters = field(default_factory=dict)
    provisioned_w: Annotated[float, Between(0.0, 1e12)] = 0.0
    rest_w: Annotated[float, Between(0.0, 1e12)] = 0.0
    telemetry_delay_s: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingSpec:
    """How a replica forms iterations.

    Attributes:
        policy: name of the batching policy.
        requests_max: most requests in one batch.
        tokens_max: most prompt tokens in one iteration.
        preemptions_max: how often a decode may be put aside for prefills.
        parameters: the policy's own settings.
    """

    policy: Name = "splitwise"
    requests_max: Annotated[int, Between(1, 65_536)] = 512
    tokens_max: Tokens = 2048
    preemptions_max: Annotated[int, Between(0, 1_000_000)] = 4
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSpec:
    """How a KV cache moves from prefill to decode replica (Splitwise, section 4.3).

    Attributes:
        mode: after the prefill, layer by layer during it, chosen by prompt length, or as splitwise-sim does it
            (serialized at 200 GiB/s, every transfer on a link of its own). In the others a replica's transfers share
            its link.
        gib_per_s: bandwidth of one replica's link in each direction; 0 for that of its GPUs' data sheet. Not for compat.
    """

    mode: Literal["serialized", "layerwise", "auto", "compat"] = "auto"
    gib_per_s: Annotated[float, Between(0.0, 1e6)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLoss:
    """A replica is gone for a while; its requests begin anew elsewhere.

    Attributes:
        replica: index, counted through the groups in their order.
        at_s, for_s: from when, for how long; for_s 0 is for good.
    """

    kind: Literal["machine_loss"] = "machine_loss"
    replica: Count
    at_s: Seconds
    for_s: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowLink:
    """A replica's KV transfers take longer for a while.

    Attributes:
        replica: index, counted through the groups in their order.
        at_s, for_s: from when, for how long; for_s 0 is for good.
        factor: times as long.
    """

    kind: Literal["slow_link"] = "slow_link"
    replica: Count
    at_s: Seconds = 0.0
    for_s: Seconds = 0.0
    factor: Annotated[float, Between(1.0, 1e6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """A replica's iterations take longer for a while.

    Attributes:
        replica: index, counted through the groups in their order.
        at_s, for_s: from when, for how long; for_s 0 is for good.
        factor: times as long.
    """

    kind: Literal["straggler"] = "straggler"
    replica: Count
    at_s: Seconds = 0.0
    for_s: Seconds = 0.0
    factor: Annotated[float, Between(1.0, 1e6)]


FailureSpec = MachineLoss | SlowLink | Straggler


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitwiseSlo:
    """The nine limits on slowdown of Splitwise's table 6: TTFT, TBT and E2E at P50, P90 and P99.

    Attributes:
        gpu, tp: the uncontended machine that slowdowns are against.
    """

    kind: Literal["splitwise"] = "splitwise"
    gpu: Name = "a100-80gb"
    tp: Literal[1, 2, 4, 8] = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassesSlo:
    """Absolute TTFT and TBT by DynamoLLM's nine request classes; the 99th percentile must hold.

    Attributes:
        edges: of the classes, as `inference.policies.dynamo.classes` tells them.
    """

    kind: Literal["classes"] = "classes"
    edges: Literal["table_iv", "terciles"] = "terciles"


SloSpec = SplitwiseSlo | ClassesSlo


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """What is kept of a run besides its requests.

    Attributes:
        series_s: period of the samples of power, pools and queues; 0 for none.
        iterations_window_s: from and to; iterations in it are kept for a Chrome trace. Empty for none.
        carbon: "duck" for emissions of the GPUs' energy by a synthetic daily curve (modelled); it needs the series.
    """

    series_s: Seconds = 1.0
    carbon: Literal["none", "duck"] = "none"
    iterations_window_s: Annotated[tuple[Seconds, ...], Length(0, 2)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsSpec:
    """When a run ends at the latest.

    Attributes:
        end_s: simulated time; 0 for when the last request is done.
        requests_max: requests taken from the trace; 0 for all.
    """

    end_s: Seconds = 0.0
    requests_max: Annotated[int, Between(0, 1_000_000_000)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that a run depends on.

    Attributes:
        name: short; results are filed under it.
        source: paper and table or figure that it is of, or what it shows.
        seed: of everything random in it.
        beside: scenario files that are run too, for comparison; relative ones are looked for beside the file that says so.
        trace: requests.
        models: names in `inference.models.catalog`, by model index.
        model_shares: of the requests by model, in proportion to each other; empty for equal ones.
        replicas: groups of replicas by name; replica indices count through them in this order.
        latency: "table" for the published table's rules (compat), "context" for cost by context length.
        routing, batching, transfer: how requests find, share and change replicas. Routing policy "dynamo" brings
            DynamoLLM's managers, which scale, shard and clock the cluster.
        power: controller of the whole row's power; None for none.
        failures: what goes wrong, and when.
        slo: objectives that results are held against; None for none.
        report, limits: what is kept, and when to stop.
    """

    name: Name
    source: str = ""
    seed: Annotated[int, Between(0, 2**63 - 1)] = 0
    beside: Annotated[tuple[Name, ...], Length(0, 16)] = ()
    trace: TraceSpec
    models: Annotated[tuple[Name, ...], Length(1, 256)]
    model_shares: Mapping[str, ShareAbove0] = field(default_factory=dict)
    replicas: Annotated[Mapping[str, GroupSpec], Length(1, 1024)]
    latency: Literal["table", "context"] = "table"
    routing: PolicySpec
    batching: BatchingSpec = field(default_factory=BatchingSpec)
    transfer: TransferSpec = field(default_factory=TransferSpec)
    power: PowerSpec | None = None
    failures: tuple[FailureSpec, ...] = ()
    slo: SloSpec | None = None
    report: ReportSpec = field(default_factory=ReportSpec)
    limits: LimitsSpec = field(default_factory=LimitsSpec)
