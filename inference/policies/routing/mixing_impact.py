"""What a request does to those it is mixed with, as a score, and a router that takes the best (Intelligent Router, section 4).

A prefill makes every decode of its iteration wait; many residents make each of the request's iterations, and its prompt
makes each of theirs, longer. The paper's equations are images: the two parts are rebuilt from its prose and from the
ranges that it states, -1 to 0 for the prompt's and -1 to 1 for the decode's. The learned router takes the same score as
guidance of its reward.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.routing.chooser import WAIT
from inference.policies.routing.iteration_cost import IterationCost, context_of


@dataclass(frozen=True, slots=True)
class MixingImpact:
    """Score of sending a request to a replica: 1 at best, -1 at worst.

    Attributes:
        cost: of iterations.
        epsilon_s: iteration time that a prefill may cause without penalty.
        alpha: weight of the prompt's part; the rest is the decode's.
    """

    cost: IterationCost = field(default_factory=IterationCost)
    epsilon_s: float = 0.5
    alpha: float = 0.5

    def score(
        self, prompt_tokens: int, output_tokens: int, residents: int, context_tokens: int
    ) -> float:
        """Weighted sum of the prompt's and the decode's part.

        Args:
            prompt_tokens: of the request.
            output_tokens: of the request, as predicted.
            residents: requests at the replica.
            context_tokens: of the residents, prompts and what they have generated.
        """
        prompt = self.prompt_part(prompt_tokens, context_tokens)
        decode = self.decode_part(prompt_tokens, output_tokens, residents)
        return self.alpha * prompt + (1.0 - self.alpha) * decode

    def prompt_part(self, prompt_tokens: int, context_tokens: int) -> float:
        """0 while the iteration with the prompt takes up to `epsilon_s`; from there on down by 1 per second, to -1."""
        iteration_s = (
            self.cost.prefill_s_per_token * prompt_tokens
            + self.cost.decode_s_per_token * context_tokens
        )
        return -min(max(iteration_s - self.epsilon_s, 0.0), 1.0)

    def decode_part(self, prompt_tokens: int, output_tokens: int, residents: int) -> float:
        """1 at an empty replica; down by the request's own time for each resident, to -1."""
        own_s = (
            self.cost.prefill_s_per_token * prompt_tokens
            + self.cost.decode_s_per_token * output_tokens
        )
        return min(max(1.0 - residents * own_s, -1.0), 1.0)


@dataclass(slots=True)
class LeastMixing:
    """The replica with the highest score; at equal scores the one with the least context in decode, then the lowest index.

    Attributes:
        impact: the score.
        score_min: below this the request waits for the next decision, up to `wait_ns_max` after its arrival. At -1, the
            lowest score, it never waits.
        wait_ns_max: longest wait. A replica without residents is never waited for: it gets no better.
    """

    impact: MixingImpact = field(default_factory=MixingImpact)
    score_min: float = -1.0
    wait_ns_max: int = 5_000_000_000

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The best replica, or `WAIT`."""
        best, best_score, best_context, best_residents = WAIT, 0.0, 0, 0
        for replica in replicas:
            here = view.residents(replica)
            context, residents = context_of(here), len(here)
            score = self.impact.score(
                request.prompt_tokens, request.output_tokens, residents, context
            )
            if best == WAIT or (score, -context) > (best_score, -best_context):
                best, best_score, best_context, best_residents = replica, score, context, residents
        waited_ns = now_ns - request.arrival_ns
        if best_score < self.score_min and best_residents and waited_ns < self.wait_ns_max:
            return WAIT
        return best
