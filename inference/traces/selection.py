"""A part of a trace, or the same requests with other priorities or models. Each says so in the description."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference.domain.request import Priority
from inference.errors import TraceError
from inference.traces.arguments import share, whole_seed
from inference.traces.trace import Int64, Trace

# One stream for each purpose, so that a sample does not move when priorities are drawn too.
SAMPLE_STREAM, PRIORITY_STREAM, MODEL_STREAM = 1, 2, 3


def window(trace: Trace, start_s: float, end_s: float) -> Trace:
    """Requests that arrive from one time up to another; time is counted from the window's start.

    Raises:
        TraceError: no request arrives in it.
    """
    if not 0 <= start_s < end_s:
        expected = f"expected a start from 0 on before its end, found {start_s!r} to {end_s!r}"
        raise TraceError(trace.name, "window", expected)
    start_ns = round(start_s * 1e9)
    inside = (trace.arrival_ns >= start_ns) & (trace.arrival_ns < end_s * 1e9)
    if not inside.any():
        expected = f"expected requests between {start_s:g} s and {end_s:g} s, found none"
        raise TraceError(trace.name, "window", expected)
    part = _rows(trace, inside, f"from {start_s:g} s to {end_s:g} s")
    return replace(part, arrival_ns=part.arrival_ns - start_ns)


def first(trace: Trace, requests: int) -> Trace:
    """The first so many requests, or all where there are fewer.

    Raises:
        TraceError: less than one is asked for.
    """
    if requests < 1:
        raise TraceError("argument", "requests", f"expected at least 1, found {requests}")
    if requests >= len(trace):
        return trace
    return _rows(trace, np.arange(requests), f"first {requests} requests")


def sampled(trace: Trace, kept: float, seed: int) -> Trace:
    """Each request with probability `kept`, at its own time: a lighter load of the same shape.

    Raises:
        TraceError: the share is not above 0 and at most 1, or leaves no request.
    """
    share("sample", kept)
    if kept == 1:
        return trace
    drawn = np.random.default_rng([whole_seed(seed), SAMPLE_STREAM]).random(len(trace)) < kept
    if not drawn.any():
        expected = f"expected a share that leaves some of {len(trace)} requests, found {kept:g}"
        raise TraceError(trace.name, "sample", expected)
    return _rows(trace, drawn, f"a sample of {kept:g} of its requests, seed {seed}")


def with_low_priority(trace: Trace, low_share: float, seed: int) -> Trace:
    """Every request's priority drawn anew: low with probability `low_share` (0 to 1), else high.

    Raises:
        TraceError: the share is out of range.
    """
    if low_share == 0:
        return replace(trace, priority=np.full(len(trace), int(Priority.HIGH), dtype=np.int64))
    share("low_share", low_share)
    random = np.random.default_rng([whole_seed(seed), PRIORITY_STREAM])
    low = random.random(len(trace)) < low_share
    priority = np.where(low, int(Priority.LOW), int(Priority.HIGH)).astype(np.int64)
    note = f"{low_share:g} of requests with low priority, seed {seed}"
    return replace(trace, priority=priority, description=f"{trace.description}; {note}")


def with_models(trace: Trace, shares: Sequence[float], seed: int) -> Trace:
    """Every request's model drawn anew, index i with probability `shares[i]` (they are scaled to sum to 1).

    Raises:
        TraceError: no shares, or one that is negative or not finite, or all 0.
    """
    weights = np.asarray(shares, dtype=np.float64)
    if (
        not len(weights)
        or not np.isfinite(weights).all()
        or (weights < 0).any()
        or not weights.any()
    ):
        expected = f"expected shares from 0 on, not all 0, found {list(shares)!r}"
        raise TraceError("argument", "shares", expected)
    random = np.random.default_rng([whole_seed(seed), MODEL_STREAM])
    model = random.choice(len(weights), len(trace), p=weights / weights.sum()).astype(np.int64)
    note = f"models drawn with shares {', '.join(f'{one:g}' for one in weights)}, seed {seed}"
    return replace(trace, model=model, description=f"{trace.description}; {note}")


def merged(traces: Sequence[Trace], name: str) -> Trace:
    """Requests of several traces in order of arrival; at equal times, of the trace named first.

    Raises:
        TraceError: there is no trace.
    """
    if not traces:
        raise TraceError(name, "traces", "expected at least one trace to merge, found none")
    order = np.argsort(np.concatenate([one.arrival_ns for one in traces]), kind="stable")

    def column(of: str) -> Int64:
        joined: Int64 = np.concatenate([getattr(one, of) for one in traces])
        return joined[order]

    return Trace(
        name,
        column("arrival_ns"),
        column("prompt_tokens"),
        column("output_tokens"),
        column("model"),
        column("priority"),
        " + ".join(one.description or one.name for one in traces),
    )


def _rows(trace: Trace, rows: npt.NDArray[np.bool_] | Int64, note: str) -> Trace:
    return Trace(
        trace.name,
        trace.arrival_ns[rows],
        trace.prompt_tokens[rows],
        trace.output_tokens[rows],
        trace.model[rows],
        trace.priority[rows],
        f"{trace.description}; {note}",
    )
