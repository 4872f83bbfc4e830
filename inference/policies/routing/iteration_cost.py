"""The router paper's linear time of an iteration, shared by the policies that reckon with it (Intelligent Router, section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.domain.view import Resident


@dataclass(frozen=True, slots=True)
class IterationCost:
    """Time of one iteration: `base_s` + `prefill_s_per_token` x prompt + `decode_s_per_token` x context in decode.

    The defaults are the paper's for Llama2-7B on a V100; a profile of the hardware at hand should replace them.

    Attributes:
        prefill_s_per_token: grad1, by prompt tokens in the iteration.
        decode_s_per_token: grad2, by tokens of context of the requests that decode.
        base_s: shortest iteration.
    """

    prefill_s_per_token: float = 3.2e-4
    decode_s_per_token: float = 3.3e-5
    base_s: float = 0.02

    def iteration_s(self, prompt_tokens: float, context_tokens: float) -> float:
        """Time of an iteration with so many prompt tokens beside so much context in decode."""
        variable_s = (
            self.prefill_s_per_token * prompt_tokens + self.decode_s_per_token * context_tokens
        )
        return max(self.base_s, variable_s)


def context_of(residents: Sequence[Resident]) -> int:
    """Tokens of context that requests at a replica decode with, or will once their prompts are through."""
    return sum(one.prompt_tokens + one.generated_tokens for one in residents)
