"""Traces with a given share of each of DynamoLLM's nine request classes (HPCA 2025, table of classes).

With the bins as printed, the paper's own hour of conversation has other shares than the public 2023 trace, and its results
depend on them; so a trace can be made with either. (With the public trace's own terciles as bins its shares are the
paper's to about a point: `policies.dynamo.classes.TERCILES`.)
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from inference.errors import TraceError
from inference.traces.arguments import positive, whole_seed
from inference.traces.azure import azure_2023
from inference.traces.trace import Int64, Trace, trace_of

# Exclusive upper ends of the bins S and M; longer ones are L, up to the last.
PROMPT_ENDS = (256, 1024)
OUTPUT_ENDS = (100, 350)
PROMPT_TOKENS_MAX = 8192
CLASSES = tuple(prompt + output for prompt in "SML" for output in "SML")

CONVERSATION_1H = MappingProxyType(
    {"SS": 14.0, "SM": 18.0, "SL": 1.0, "MS": 5.0, "MM": 6.0, "ML": 22.0}
    | {"LS": 14.0, "LM": 9.0, "LL": 11.0}
)
"""Percent of requests by class in the paper's one-hour conversation experiment (as quoted by a third party)."""

PERCENT_TOLERANCE = 0.5


def class_ids(trace: Trace) -> Int64:
    """Index in `CLASSES` of each request, by its true lengths."""
    prompts = np.searchsorted(PROMPT_ENDS, trace.prompt_tokens, side="right")
    outputs = np.searchsorted(OUTPUT_ENDS, trace.output_tokens, side="right")
    return (3 * prompts + outputs).astype(np.int64)


def class_percent(trace: Trace) -> dict[str, float]:
    """Percent of a trace's requests in each class."""
    counts = np.bincount(class_ids(trace), minlength=len(CLASSES))
    return {name: 100.0 * int(n) / len(trace) for name, n in zip(CLASSES, counts, strict=True)}


def class_mix(
    percent: Mapping[str, float],
    rate_per_s: float,
    duration_s: float,
    seed: int,
    lengths: Trace | None = None,
) -> Trace:
    """Draw Poisson arrivals whose classes have the given shares; pairs of lengths come from the trace's same class.

    Args:
        percent: share of each class by name, summing to 100; classes left out have none.
        rate_per_s: mean arrivals of all classes together.
        duration_s: end of arrivals.
        seed: of the draws.
        lengths: trace that lengths are drawn from, with replacement; None for the 2023 conversation. Prompts beyond
            8,192 tokens are left out, as the classes end there.

    Raises:
        TraceError: an unknown class, shares that do not sum to 100, a class that the trace has no request of, or a rate
            or duration that is not positive.
    """
    positive("rate_per_s", rate_per_s, "requests per second")
    positive("duration_s", duration_s, "seconds")
    source = azure_2023("conv") if lengths is None else lengths
    shares = _shares(percent)
    ids = np.where(source.prompt_tokens <= PROMPT_TOKENS_MAX, class_ids(source), -1)
    rows_by_class = [np.flatnonzero(ids == class_id) for class_id in range(len(CLASSES))]
    for name, share, rows in zip(CLASSES, shares, rows_by_class, strict=True):
        if share > 0 and not len(rows):
            expected = f"expected requests of this class in {source.name} to draw lengths from"
            raise TraceError("argument", f"percent.{name}", f"{expected}, found none")
    random = np.random.default_rng(whole_seed(seed))
    count = int(random.poisson(rate_per_s * duration_s))
    arrivals = np.sort(random.integers(0, max(1, round(duration_s * 1e9)), count))
    drawn = random.choice(len(CLASSES), count, p=shares)
    rows = np.zeros(count, dtype=np.int64)
    for class_id, candidates in enumerate(rows_by_class):
        chosen = np.flatnonzero(drawn == class_id)
        if len(chosen):
            rows[chosen] = candidates[random.integers(0, len(candidates), len(chosen))]
    mix = ", ".join(f"{n} {100 * s:g} %" for n, s in zip(CLASSES, shares, strict=True) if s)
    return trace_of(
        f"{source.name}-mix-{rate_per_s:g}",
        arrivals,
        source.prompt_tokens[rows],
        source.output_tokens[rows],
        description=(
            f"Poisson arrivals at {rate_per_s:g}/s for {duration_s:g} s, seed {seed}; classes {mix}; lengths drawn within"
            f" each class from {source.name}"
        ),
    )


def _shares(percent: Mapping[str, float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Shares in the order of `CLASSES`, summing to 1."""
    for name, value in percent.items():
        if name not in CLASSES:
            expected = f"expected one of {', '.join(CLASSES)}"
            raise TraceError("argument", f"percent.{name}", expected)
        if not 0 <= value <= 100:
            expected = f"expected a percentage from 0 to 100, found {value!r}"
            raise TraceError("argument", f"percent.{name}", expected)
    total = sum(percent.values())
    if abs(total - 100.0) > PERCENT_TOLERANCE:
        raise TraceError("argument", "percent", f"expected a sum of 100, found {total:g}")
    return np.array([percent.get(name, 0.0) / total for name in CLASSES])
