"""Objectives: absolute ones by request class (DynamoLLM), and slowdowns by percentile (Splitwise)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestClass:
    """Requests of alike lengths, and what they are promised (DynamoLLM, table of classes).

    Attributes:
        name: two letters, input then output: "SS" … "LL".
        prompt_tokens_max, output_tokens_max: inclusive upper ends of its bins.
        ttft_ms, tbt_ms: objectives that the 99th percentile must hold.
    """

    name: str
    prompt_tokens_max: int
    output_tokens_max: int
    ttft_ms: float
    tbt_ms: float


@dataclass(frozen=True, slots=True)
class SlowdownSlo:
    """Limits of one metric's slowdown against an uncontended machine (Splitwise, table 6).

    Attributes:
        p50, p90, p99: largest ratio allowed at that percentile.
    """

    p50: float
    p90: float
    p99: float
