"""When a KV cache moves between the two replicas of a route: after the prefill, or layer by layer during it.

Splitwise, section 4.3: pushing layers while the prefill goes on hides all but the last layer's transfer, at the price of
disturbing short prefills; so short prompts are sent in one piece. The choice is made when the prefill's batch starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated

from inference.policies.parameters import Range

LAYERWISE_PROMPT_TOKENS = 512
"""Prompts from here on are sent layer by layer: measured on H100 (Splitwise, section 4.3), taken over for others."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Settings of the transfer by prompt length.

    Attributes:
        prompt_tokens_min: shortest prompt whose cache goes layer by layer.
    """

    prompt_tokens_min: Annotated[int, Range(1)] = LAYERWISE_PROMPT_TOKENS


@dataclass(frozen=True, slots=True)
class ByPromptLength:
    """Splitwise's rule: short prompts in one piece, long ones layer by layer.

    Attributes:
        prompt_tokens_min: shortest prompt that goes layer by layer.
        by_gpu: the same for the kinds of GPU (of the prefill's side) where it was measured otherwise.
    """

    prompt_tokens_min: int = LAYERWISE_PROMPT_TOKENS
    by_gpu: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def layerwise(self, prompt_tokens: int, source_gpu: str) -> bool:
        """Whether the prompt is long enough."""
        return prompt_tokens >= self.by_gpu.get(source_gpu, self.prompt_tokens_min)


@dataclass(frozen=True, slots=True)
class Serialized:
    """All of the cache after the prefill, always: Splitwise's baseline, and what splitwise-sim models."""

    def layerwise(self, prompt_tokens: int, source_gpu: str) -> bool:
        """Never."""
        return False


@dataclass(frozen=True, slots=True)
class Layerwise:
    """Layer by layer, always."""

    def layerwise(self, prompt_tokens: int, source_gpu: str) -> bool:
        """Ever."""
        return True
