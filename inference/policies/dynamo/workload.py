"""What one pool serves: the lengths and objectives of its requests, taken from a trace's columns."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.policies.dynamo.classes import Taxonomy

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

# A pool's part that is rarer than this has no weight in its 99th percentile.
_SHARE_MIN = 0.01


class Component(NamedTuple):
    """Requests of a pool that share an objective.

    Attributes:
        share: of the pool's requests.
        prompt_tokens_mean, prompt_tokens_rms: the second is the root of the mean square; queues depend on it.
        prompt_tokens_p99: for its 99th percentile of TTFT.
        output_tokens_mean: the first token included.
        ttft_ms, tbt_ms: promised at the 99th percentile.
    """

    share: float
    prompt_tokens_mean: float
    prompt_tokens_rms: float
    prompt_tokens_p99: float
    output_tokens_mean: float
    ttft_ms: float
    tbt_ms: float


@dataclass(frozen=True, slots=True)
class Workload:
    """The requests of one pool.

    Attributes:
        name: of its class.
        components: by objective; shares sum to 1.

    Raises:
        ValueError: there is no component, or shares do not sum to 1.
    """

    name: str
    components: tuple[Component, ...]

    def __post_init__(self) -> None:
        if not self.components or abs(sum(part.share for part in self.components) - 1) > 1e-6:
            raise ValueError(f"{self.name}: shares of components must sum to 1")

    @property
    def prompt_tokens_mean(self) -> float:
        """Over all its requests."""
        return sum(part.share * part.prompt_tokens_mean for part in self.components)

    @property
    def prompt_tokens_rms(self) -> float:
        """Root mean square over all its requests."""
        return float(sum(p.share * p.prompt_tokens_rms**2 for p in self.components) ** 0.5)

    @property
    def output_tokens_mean(self) -> float:
        """Over all its requests."""
        return sum(part.share * part.output_tokens_mean for part in self.components)


def workloads_of(
    prompt_tokens: Int64, output_tokens: Int64, pools: Taxonomy, slo: Taxonomy
) -> tuple[tuple[Workload, ...], Float64]:
    """Workload of each pool and its share of all requests.

    A class without a request in the trace is given the lengths at its bins' upper edges, and the share 0: it can be
    asked for once predictions go wrong.

    Args:
        prompt_tokens: of each request of the trace.
        output_tokens: of each request.
        pools: the grid that requests are pooled by.
        slo: the grid that objectives are promised by; may be finer or coarser.
    """
    owner = pools.classify_columns(prompt_tokens, output_tokens)
    promise = slo.classify_columns(prompt_tokens, np.ones_like(output_tokens))
    workloads = []
    for class_id, kind in enumerate(pools.classes):
        rows = owner == class_id
        parts = [
            _component(
                prompt_tokens[rows & (promise == level)],
                output_tokens[rows & (promise == level)],
                slo,
                int(level),
                int(rows.sum()),
            )
            for level in np.unique(promise[rows])
        ]
        parts = [part for part in parts if part.share >= _SHARE_MIN]
        if not parts:
            prompt, output = kind.prompt_tokens_max, min(kind.output_tokens_max, 1000)
            parts = [Component(1.0, prompt, prompt, prompt, output, kind.ttft_ms, kind.tbt_ms)]
        total = sum(part.share for part in parts)
        scaled = tuple(part._replace(share=part.share / total) for part in parts)
        workloads.append(Workload(kind.name, scaled))
    counts = np.bincount(owner, minlength=len(pools))
    return tuple(workloads), counts / len(owner)


def _component(
    prompts: Int64, outputs: Int64, slo: Taxonomy, level: int, pool_rows: int
) -> Component:
    return Component(
        share=len(prompts) / pool_rows,
        prompt_tokens_mean=float(prompts.mean()),
        prompt_tokens_rms=float(np.sqrt(np.mean(prompts.astype(np.float64) ** 2))),
        prompt_tokens_p99=float(np.quantile(prompts, 0.99)),
        output_tokens_mean=float(outputs.mean()),
        ttft_ms=slo.classes[level].ttft_ms,
        tbt_ms=slo.classes[level].tbt_ms,
    )
