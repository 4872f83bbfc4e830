"""What a scenario may say of its trace: one dataclass for each kind, told apart by `kind`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from inference.scenarios.quantities import (
    Name,
    Rate,
    Seconds,
    SecondsAbove0,
    Share,
    ShareAbove0,
    Tokens,
)
from inference.scenarios.schema import Above, Between, Length

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
