"""Dedicated small-large: long decodes have replicas of their own (Intelligent Router, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.routing.chooser import Chooser
from inference.policies.routing.round_robin import RoundRobin


@dataclass(slots=True)
class SmallLarge:
    """Requests with heavy decodes in turn over the first replicas, all others in turn over the rest.

    With one replica it serves both. The paper's study shows that this loses against round robin: one side idles while the
    other queues.

    Attributes:
        heavy_decode_tokens: predicted output from which a decode is heavy; the paper's 5 s at its 0.02 s an iteration.
        heavy_share: of replicas that are for heavy decodes, rounded to whole ones, at least one on either side.
    """

    heavy_decode_tokens: int = 250
    heavy_share: float = 0.5
    _heavy: Chooser = field(default_factory=RoundRobin)
    _light: Chooser = field(default_factory=RoundRobin)

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """The next replica on the request's side."""
        count = len(replicas)
        split = min(max(1, round(count * self.heavy_share)), count - 1)
        heavy = request.output_tokens >= self.heavy_decode_tokens
        chooser = self._heavy if heavy else self._light
        side = (replicas[:split] if heavy else replicas[split:]) if split else replicas
        return chooser.choose(side, request, view, now_ns)
