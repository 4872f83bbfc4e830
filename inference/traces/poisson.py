"""Poisson arrivals at a constant rate with lengths of another trace: how Splitwise and splitwise-sim load a cluster.

The draws follow splitwise-sim's order, from the same generation of NumPy's generator, so that its traces come out bit by
bit and its published results can be compared request by request. That is why `RandomState` is used here, whose streams
NumPy has frozen, and `Generator` elsewhere.
"""

import math

import numpy as np

from inference.errors import TraceError
from inference.traces.arguments import positive, whole_seed
from inference.traces.trace import Trace, trace_of

# splitwise-sim draws so many requests and cuts what comes too late; the number shifts every draw after the first.
DRAWN_REQUESTS = 20_000
# Standard deviations of room before an automatic size is taken as too small: 1 in 10^9 falls short of it.
ROOM_DEVIATIONS = 6.0


def resampled(
    lengths: Trace,
    rate_per_s: float,
    duration_s: float,
    seed: int,
    requests_max: int | None = None,
) -> Trace:
    """Draw Poisson arrivals, with prompt and output lengths drawn from a trace (Splitwise, section 6.1).

    Prompt and output are drawn independently of each other and with replacement, as splitwise-sim does: the marginal
    distributions are the trace's, their correlation is lost (`traces.lengths.PairedLengths` keeps it).

    Args:
        lengths: trace whose lengths are drawn.
        rate_per_s: mean arrivals.
        duration_s: arrivals at this time or later are cut.
        seed: 0 is splitwise-sim's.
        requests_max: how many are drawn before the cut; by default 20,000, doubled until the duration is surely filled.
            The same number gives the same draws as splitwise-sim.

    Raises:
        TraceError: an argument is out of range, or `requests_max` requests end before the duration does (splitwise-sim
            silently ends such a trace early).
    """
    positive("rate_per_s", rate_per_s, "requests per second")
    positive("duration_s", duration_s, "seconds")
    drawn = _drawn(rate_per_s * duration_s, requests_max)
    random = np.random.RandomState(whole_seed(seed))
    arrivals_s = np.cumsum((1 / rate_per_s) * random.standard_exponential(drawn))
    prompts = lengths.prompt_tokens[random.randint(0, len(lengths), drawn)]
    outputs = lengths.output_tokens[random.randint(0, len(lengths), drawn)]
    count = int(np.searchsorted(arrivals_s, duration_s))
    if count == 0:
        expected = f"expected time for at least one arrival at {rate_per_s} per second"
        raise TraceError("argument", "duration_s", f"{expected}, found {duration_s}")
    if count == drawn:
        expected = f"expected enough requests for {duration_s} s at {rate_per_s} per second"
        raise TraceError("argument", "requests_max", f"{expected}, found {drawn}")
    return trace_of(
        f"{lengths.name}-poisson-{rate_per_s:g}",
        np.rint(arrivals_s[:count] * 1e9).astype(np.int64),
        prompts[:count],
        outputs[:count],
        description=(
            f"Poisson arrivals at {rate_per_s:g}/s for {duration_s:g} s, seed {seed}; lengths drawn independently with"
            f" replacement from {lengths.name}"
        ),
    )


def _drawn(expected: float, requests_max: int | None) -> int:
    if requests_max is not None:
        if requests_max < 1:
            raise TraceError(
                "argument", "requests_max", f"expected at least 1, found {requests_max}"
            )
        return requests_max
    drawn = DRAWN_REQUESTS
    while drawn < expected + ROOM_DEVIATIONS * math.sqrt(expected):
        drawn *= 2
    return drawn
