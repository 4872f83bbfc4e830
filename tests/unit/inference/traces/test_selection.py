"""Goal: parts and variants of a trace hold exactly the requests they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import TraceError
from inference.traces.azure import azure_2023
from inference.traces.selection import (
    first,
    merged,
    sampled,
    window,
    with_low_priority,
    with_models,
)
from inference.traces.services import POLCA_SERVICES, Service, service_mix
from inference.traces.trace import trace_of

CONV = azure_2023("conv")


@given(st.floats(0, 3000), st.floats(1, 3000))
def test_window(start_s, length_s):
    try:
        part = window(CONV, start_s, start_s + length_s)
    except TraceError:
        inside = (CONV.arrival_ns >= start_s * 1e9) & (CONV.arrival_ns < (start_s + length_s) * 1e9)
        assert not inside.any()
        return
    assert part.duration_ns <= length_s * 1e9 + 1
    assert part.arrival_ns[0] >= 0
    assert len(part) <= len(CONV)


def test_window_keeps_rows_together():
    part = window(trace_of("t", [0, 10**9, 2 * 10**9], [1, 2, 3], [4, 5, 6]), 1, 2)
    assert (part.arrival_ns[0], part.prompt_tokens[0], part.output_tokens[0]) == (0, 2, 5)
    assert len(part) == 1
    assert "from 1 s to 2 s" in part.description


def test_sample_is_stable_and_of_its_share():
    part = sampled(CONV, 0.25, 3)
    assert len(part) == pytest.approx(len(CONV) / 4, rel=0.05)
    assert np.array_equal(part.arrival_ns, sampled(CONV, 0.25, 3).arrival_ns)
    assert not np.array_equal(part.arrival_ns, sampled(CONV, 0.25, 4).arrival_ns)
    assert sampled(CONV, 1.0, 3) is CONV


def test_priorities_and_models():
    low = with_low_priority(CONV, 0.3, 1)
    assert low.priority.mean() == pytest.approx(0.3, abs=0.02)
    assert with_low_priority(low, 0.0, 1).priority.sum() == 0
    many = with_models(CONV, [1, 0, 3], 1)
    assert np.bincount(many.model) / len(CONV) == pytest.approx([0.25, 0, 0.75], abs=0.02)
    assert np.array_equal(many.arrival_ns, CONV.arrival_ns)


def test_merged_is_in_order_and_stable():
    one = trace_of("one", [0, 5], [1, 2], [1, 1], model=[0, 0])
    other = trace_of("other", [0, 3], [3, 4], [1, 1], model=[1, 1])
    both = merged([one, other], "both")
    assert both.prompt_tokens.tolist() == [1, 3, 4, 2]
    assert both.model.tolist() == [0, 1, 1, 0]
    at_once = merged([trace_of("t", [0] * 50, [k] * 50, [1] * 50) for k in (1, 2, 3)], "at once")
    assert at_once.prompt_tokens.tolist() == [1] * 50 + [2] * 50 + [3] * 50


def test_first():
    assert len(first(CONV, 10)) == 10
    assert first(CONV, 10**9) is CONV


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda: window(CONV, 5, 5), "window"),
        (lambda: window(CONV, 1e6, 2e6), "window"),
        (lambda: first(CONV, 0), "requests"),
        (lambda: sampled(CONV, 0.0, 1), "sample"),
        (lambda: sampled(trace_of("t", [0], [1], [1]), 1e-9, 1), "sample"),
        (lambda: with_low_priority(CONV, 1.5, 1), "low_share"),
        (lambda: with_models(CONV, [], 1), "shares"),
        (lambda: with_models(CONV, [1, -1], 1), "shares"),
        (lambda: merged([], "none"), "traces"),
        (lambda: service_mix([], 1, 1, 0, "t"), "services"),
        (lambda: service_mix([Service("a", 1, (0, 5), (1, 1))], 1, 1, 0, "t"), "a.prompt_tokens"),
        (lambda: service_mix([Service("a", 1, (1, 5), (9, 1))], 1, 1, 0, "t"), "a.output_tokens"),
        (lambda: service_mix([Service("a", 0, (1, 5), (1, 1))], 1, 1, 0, "t"), "a.share"),
        (lambda: service_mix([Service("a", 1, (1, 5), (1, 1), 2)], 1, 1, 0, "t"), "a.low_share"),
        (lambda: service_mix(POLCA_SERVICES, 0, 1, 0, "t"), "rate_per_s"),
    ],
)
def test_refusals_name_the_argument(change, key):
    with pytest.raises(TraceError) as caught:
        change()
    assert caught.value.key == key


def test_both_ends_of_a_range_are_drawn():
    trace = service_mix([Service("coin", 1, (5, 6), (7, 7))], 10, 100, 1, "coin")
    assert set(trace.prompt_tokens.tolist()) == {5, 6}
    assert set(trace.output_tokens.tolist()) == {7}


def test_polca_mix():
    """Shares, ranges and priorities of POLCA's evaluation."""
    trace = service_mix(POLCA_SERVICES, 10, 2000, 7, "polca")
    assert len(trace) == pytest.approx(20_000, rel=0.03)
    assert trace.priority.mean() == pytest.approx(0.5, abs=0.02)
    assert (trace.prompt_tokens.min(), trace.prompt_tokens.max()) == pytest.approx(
        (512, 8192), abs=6
    )
    search = trace.prompt_tokens < 2048
    assert search.mean() == pytest.approx(0.25, abs=0.02)
    assert trace.priority[search].sum() == 0
    assert (trace.output_tokens[search] >= 1024).all()
