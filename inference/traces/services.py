"""Traces of services whose lengths are only known as ranges: POLCA's evaluation mix, the router's task kinds, or your own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.errors import TraceError
from inference.traces.arguments import positive, share, whole_seed
from inference.traces.trace import Trace, trace_of


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of request; lengths are uniform over their ranges, both ends included.

    Attributes:
        name: for the description.
        share: of all requests.
        prompt_tokens, output_tokens: lowest and highest length.
        low_share: share of its requests with low priority.
    """

    name: str
    share: float
    prompt_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    low_share: float = 0.0


POLCA_SERVICES = (
    Service("summarize", 0.25, (2048, 8192), (256, 512), low_share=1.0),
    Service("search", 0.25, (512, 2048), (1024, 2048)),
    Service("chat", 0.5, (2048, 4096), (128, 2048), low_share=0.5),
)
"""POLCA, section 6: the evaluation's services (from memory of the paper; lengths uniform by assumption)."""


def service_mix(
    services: Sequence[Service], rate_per_s: float, duration_s: float, seed: int, name: str
) -> Trace:
    """Draw Poisson arrivals of several services; request by request, its service by share.

    Args:
        services: kinds of request; their shares are scaled to sum to 1.
        rate_per_s: mean arrivals of all together.
        duration_s: end of arrivals.
        seed: of the draws.
        name: of the trace.

    Raises:
        TraceError: an argument is out of range, or nothing arrives.
    """
    positive("rate_per_s", rate_per_s, "requests per second")
    positive("duration_s", duration_s, "seconds")
    for one in services:
        _check(one)
    if not services:
        raise TraceError("argument", "services", "expected at least one service, found none")
    random = np.random.default_rng(whole_seed(seed))
    count = int(random.poisson(rate_per_s * duration_s))
    arrivals = np.sort(random.integers(0, max(1, round(duration_s * 1e9)), count))
    shares = np.array([one.share for one in services])
    kinds = random.choice(len(services), count, p=shares / shares.sum())
    ranges = np.array([(*one.prompt_tokens, *one.output_tokens) for one in services])[kinds]
    prompts = random.integers(ranges[:, 0], ranges[:, 1], endpoint=True)
    outputs = random.integers(ranges[:, 2], ranges[:, 3], endpoint=True)
    low = random.random(count) < np.array([one.low_share for one in services])[kinds]
    named = ", ".join(f"{one.name} {one.share:g}" for one in services)
    return trace_of(
        name,
        arrivals,
        prompts,
        outputs,
        priority=low.astype(np.int64),
        description=(
            f"Poisson arrivals at {rate_per_s:g}/s for {duration_s:g} s, seed {seed}; services {named};"
            " uniform lengths"
        ),
    )


def _check(service: Service) -> None:
    share(f"{service.name}.share", service.share)
    if not 0 <= service.low_share <= 1:
        expected = f"expected from 0 to 1, found {service.low_share!r}"
        raise TraceError("argument", f"{service.name}.low_share", expected)
    for key, (low, high) in (
        ("prompt_tokens", service.prompt_tokens),
        ("output_tokens", service.output_tokens),
    ):
        if not 1 <= low <= high:
            expected = f"expected a lowest length from 1 on and a highest not below it, found {low} to {high}"
            raise TraceError("argument", f"{service.name}.{key}", expected)
