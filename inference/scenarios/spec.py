"""What a scenario says, as values: one frozen dataclass per TOML table, one field per key, units last in the names.

A field's annotation is its check: `schema.decode` reads type, range and closed sets from here, so that a key, its meaning
and its limits stand in one place. Tables that come in kinds (`trace`, `failures`, `slo`) are unions told apart by `kind`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from inference.scenarios.quantities import Count, Name, Seconds, ShareAbove0, Tokens
from inference.scenarios.schema import Between, Length
from inference.scenarios.trace_spec import TraceSpec

Scalar = bool | int | float | str
Parameters = Mapping[str, Scalar | tuple[Scalar, ...]]
"""A policy's own settings; the policy's maker knows their names and checks them (`inference.policies.registry`)."""


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
