"""Policies that a scenario names, besides routing (`inference.policies.registry`): batching and row power."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from inference.domain.request import Priority
from inference.policies.batching.continuous import ContinuousBatching, MixedBatching
from inference.policies.batching.protocol import BatchingPolicy
from inference.policies.batching.request_level import RequestLevelBatching
from inference.policies.batching.splitwise import SplitwiseBatching
from inference.policies.parameters import Nothing, Range
from inference.policies.power.no_cap import no_cap
from inference.policies.power.polca import Caps, Thresholds, polca
from inference.policies.power.single_threshold import single_threshold
from inference.policies.protocols import PowerPolicy
from inference.policies.registry import Registry
from inference.scenarios.spec import BatchingSpec

BATCHING: Registry[BatchingSpec, BatchingPolicy] = Registry("batching policy")
"""Made from the scenario's batching table, whose limits are common to all."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """Settings of mixed batching.

    Attributes:
        chunked: whether a prompt may be prefilled in parts (Sarathi).
    """

    chunked: bool = False


@dataclass(frozen=True, slots=True)
class Promises:
    """Settings of Splitwise's batching.

    Attributes:
        reserve_outputs: whether a prompt begins only where its output has room as well; the published simulator begins it anyway.
    """

    reserve_outputs: bool = False


BATCHING.register(
    "splitwise",
    Promises,
    lambda settings, spec: SplitwiseBatching(
        spec.requests_max, spec.tokens_max, spec.preemptions_max, settings.reserve_outputs
    ),
    "Splitwise, section 4.2",
)
BATCHING.register(
    "request_level",
    Nothing,
    lambda settings, spec: RequestLevelBatching(spec.requests_max, spec.tokens_max),
    "Splitwise, section 2: a batch runs until all of it is done",
)
BATCHING.register(
    "continuous",
    Nothing,
    lambda settings, spec: ContinuousBatching(spec.requests_max, spec.tokens_max),
    "Splitwise, section 2: prompts preempt decodes",
)
BATCHING.register(
    "mixed",
    Mixed,
    lambda settings, spec: MixedBatching(spec.requests_max, spec.tokens_max, settings.chunked),
    "Splitwise, section 2: prompts and decodes in one iteration",
)


@dataclass(frozen=True, slots=True)
class RowContext:
    """What a power policy is made for.

    Attributes:
        provisioned_w: power that the row may draw.
        priorities: of each replica, by its index.
    """

    provisioned_w: float
    priorities: Sequence[Priority]


POWER: Registry[RowContext, PowerPolicy] = Registry("power policy")

Part = Annotated[float, Range(0.0, 1.0)]
Clock = Annotated[int, Range(1, 5000)]


@dataclass(frozen=True, slots=True)
class Polca:
    """Settings of POLCA; its clocks are an A100's.

    Attributes:
        t1, t2, lift: shares of provisioned power, as in `Thresholds`.
        low_t1_mhz, low_t2_mhz, high_t2_mhz: as in `Caps`.
    """

    t1: Part = 0.80
    t2: Part = 0.89
    lift: Part = 0.05
    low_t1_mhz: Clock = 1275
    low_t2_mhz: Clock = 1110
    high_t2_mhz: Clock = 1305


@dataclass(frozen=True, slots=True)
class OneThreshold:
    """Settings of the baselines with one threshold.

    Attributes:
        all_priorities: cap high priority too.
        threshold, lift: shares of provisioned power.
        cap_mhz: SM clock of the capped.
    """

    all_priorities: bool = False
    threshold: Part = 0.89
    lift: Part = 0.05
    cap_mhz: Clock = 1110


def _polca(settings: Polca, row: RowContext) -> PowerPolicy:
    return polca(
        row.provisioned_w,
        row.priorities,
        thresholds=Thresholds(settings.t1, settings.t2, settings.lift),
        caps=Caps(settings.low_t1_mhz, settings.low_t2_mhz, settings.high_t2_mhz),
    )


def _one_threshold(settings: OneThreshold, row: RowContext) -> PowerPolicy:
    return single_threshold(
        row.provisioned_w,
        row.priorities,
        all_priorities=settings.all_priorities,
        threshold=settings.threshold,
        lift=settings.lift,
        cap_mhz=settings.cap_mhz,
    )


POWER.register("polca", Polca, _polca, "POLCA, section 5")
POWER.register("one_threshold", OneThreshold, _one_threshold, "POLCA, section 6: baselines")
POWER.register(
    "no_cap",
    Nothing,
    lambda settings, row: no_cap(row.provisioned_w, row.priorities),
    "POLCA, section 6: the brake alone",
)


@dataclass(frozen=True, slots=True)
class Dynamo:
    """Settings of routing policy "dynamo", which brings all of DynamoLLM's managers.

    Attributes:
        composition: DynamoLLM, or the baseline of that name.
        edges: of the request classes.
        accuracy: of the predictor of output classes; 1 knows the true length.
        margin: share of a replica's highest load that is planned for.
        headroom: added to the forecast.
    """

    composition: Literal[
        "SinglePool", "MultiPool", "ScaleInst", "ScaleShard", "ScaleFreq", "DynamoLLM"
    ] = "DynamoLLM"
    edges: Literal["table_iv", "terciles"] = "terciles"
    accuracy: Annotated[float, Range(0.0, 1.0)] = 1.0
    margin: Annotated[float, Range(0.01, 1.0)] = 0.9
    headroom: Annotated[float, Range(0.0, 10.0)] = 0.1
