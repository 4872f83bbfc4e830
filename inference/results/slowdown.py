"""Splitwise's nine objectives: slowdowns against an uncontended machine at three percentiles.

Splitwise, table 6; the formulas are those of its authors' published notebook (ISCA'24):
TTFT / f_p(prompt), TBT / f_t(prompt) and E2E / (f_p + f_t * (output - 1)), where f_p is the time of
a prefill and f_t of a decode iteration alone on a DGX-A100 with TP8.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.slo import SlowdownSlo
from inference.results.distribution import Distribution, distribution_of
from inference.results.run import Float64, Int64, RequestColumns
from inference.results.timings import Timings, completed, over_all

SPLITWISE_SLOS: Mapping[str, SlowdownSlo] = {
    "ttft": SlowdownSlo(p50=2.0, p90=3.0, p99=6.0),
    "tbt": SlowdownSlo(p50=1.25, p90=1.5, p99=5.0),
    "e2e": SlowdownSlo(p50=1.25, p90=1.5, p99=5.0),
}

Uncontended = Callable[[Int64], npt.NDArray[np.number]]


@dataclass(frozen=True, slots=True)
class Reference:
    """The machine that slowdowns are against.

    Attributes:
        name: for reports ("bloom-176b a100-80gb tp8").
        prefill_ns: f_p: prompt tokens of requests to the time of each one's prefill alone.
        decode_ns: f_t: prompt tokens of requests to the time of each one's decode iteration alone.
    """

    name: str
    prefill_ns: Uncontended
    decode_ns: Uncontended


@dataclass(frozen=True, slots=True)
class Slowdowns:
    """Slowdowns of a run's requests; those that did not complete count as infinite.

    Attributes:
        reference: name of the machine that they are against.
        ttft_slowdown, tbt_slowdown, e2e_slowdown: ratios.
        broken: objectives that do not hold, as "tbt_p50", in the order of the table.
    """

    reference: str
    ttft_slowdown: Distribution
    tbt_slowdown: Distribution
    e2e_slowdown: Distribution
    broken: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Whether all objectives hold."""
        return not self.broken


def slowdowns(
    requests: RequestColumns,
    reference: Reference,
    slos: Mapping[str, SlowdownSlo] = SPLITWISE_SLOS,
) -> Slowdowns:
    """Slowdowns of all requests of a run, and which objectives they break.

    Without requests every objective is broken: nothing shows that it holds.

    Args:
        requests: of the run.
        reference: the uncontended machine.
        slos: limits for "ttft", "tbt" and "e2e"; a metric left out has none.

    Raises:
        ValueError: the reference returns a time that is not positive.
    """
    timings = completed(requests)
    prompts = requests.prompt_tokens[timings.rows]
    prefill_ns = _positive(reference, "prefill_ns", prompts)
    decode_ns = _positive(reference, "decode_ns", prompts)
    alone_ns = prefill_ns + decode_ns * (requests.output_tokens[timings.rows] - 1)
    ratios = {
        "ttft": _of_all(timings, timings.ttft_ns / prefill_ns),
        "tbt": _of_all(timings, timings.tbt_ns / decode_ns),
        "e2e": _of_all(timings, timings.e2e_ns / alone_ns),
    }
    broken = tuple(
        f"{metric}_{percentile}"
        for metric, slo in slos.items()
        for percentile in ("p50", "p90", "p99")
        # Negated, so that NaN (no request) breaks it too.
        if not getattr(ratios[metric], percentile) <= getattr(slo, percentile)
    )
    return Slowdowns(reference.name, ratios["ttft"], ratios["tbt"], ratios["e2e"], broken)


def _positive(reference: Reference, name: str, prompts: Int64) -> Float64:
    times_ns = np.asarray(getattr(reference, name)(prompts), dtype=np.float64)
    if times_ns.shape != prompts.shape or not bool((times_ns > 0).all()):
        raise ValueError(f"{reference.name}: {name} must give one positive time for each prompt")
    return times_ns


def _of_all(timings: Timings, ratios: Float64) -> Distribution:
    return distribution_of(over_all(timings, ratios))
