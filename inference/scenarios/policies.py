"""Policies that a scenario names, besides routing (`inference.policies.registry`): how replicas batch, by name."""

from dataclasses import dataclass

from inference.policies.batching.continuous import ContinuousBatching, MixedBatching
from inference.policies.batching.protocol import BatchingPolicy
from inference.policies.batching.request_level import RequestLevelBatching
from inference.policies.batching.splitwise import SplitwiseBatching
from inference.policies.parameters import Nothing
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


BATCHING.register(
    "splitwise",
    Nothing,
    lambda settings, spec: SplitwiseBatching(
        spec.requests_max, spec.tokens_max, spec.preemptions_max
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
