"""Goal: drawn traces have the rates, lengths and classes that were asked for, whichever way they are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import TraceError
from inference.traces.azure import azure_2023
from inference.traces.lengths import Lengths2024, PairedLengths
from inference.traces.mix import (
    CLASSES,
    CONVERSATION_1H,
    PROMPT_TOKENS_MAX,
    class_ids,
    class_mix,
    class_percent,
)
from inference.traces.poisson import resampled
from inference.traces.rates import RateSeries, week_rates
from inference.traces.trace import trace_of
from inference.traces.week import RateTrace, week_source, week_trace

WEEK = {"code": 16_803_695, "conv": 27_303_999}
HALF_HOUR_S = 1800


@given(st.floats(0.5, 40), st.floats(1, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_poisson_rate_and_lengths(rate, seconds, seed):
    source = azure_2023("conv")
    try:
        trace = resampled(source, rate, seconds, seed)
    except TraceError as error:
        assert error.key == "duration_s"  # nothing arrived
        return
    expected = rate * seconds
    assert abs(len(trace) - expected) < 7 * np.sqrt(expected) + 7
    assert trace.duration_ns < seconds * 1e9 + 1
    assert set(trace.prompt_tokens.tolist()) <= set(source.prompt_tokens.tolist())


def test_poisson_draws_more_for_a_longer_run():
    assert abs(len(resampled(azure_2023("code"), 70, 600, 3)) - 42_000) < 1_000


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"rate_per_s": 0}, "rate_per_s"),
        ({"rate_per_s": float("nan")}, "rate_per_s"),
        ({"duration_s": -1}, "duration_s"),
        ({"duration_s": 1e-9}, "duration_s"),
        ({"seed": -1}, "seed"),
        ({"requests_max": 0}, "requests_max"),
        ({"requests_max": 10}, "requests_max"),
    ],
)
def test_poisson_refuses(change, key):
    with pytest.raises(TraceError) as caught:
        resampled(azure_2023("conv"), **{"rate_per_s": 30, "duration_s": 120, "seed": 0} | change)
    assert caught.value.key == key


@pytest.mark.parametrize(("service", "peak_to_mean"), [("conv", 1.70), ("code", 3.14)])
def test_week_shape(service, peak_to_mean):
    """DY12: the digitised week's highest half hour against its mean, and the published totals."""
    rates = week_rates(service)
    assert rates.duration_s == 7 * 86_400
    assert abs(rates.requests - WEEK[service]) < 2
    assert round(rates.peak_to_mean(HALF_HOUR_S), 2) == pytest.approx(peak_to_mean, abs=0.006)


def test_week_peak_to_valley():
    """The paper says 3.3 and 34.6; half hours of the digitised week give 3.75 and 37.6, at the valley's reading error."""
    assert week_rates("conv").peak_to_valley(HALF_HOUR_S) == pytest.approx(3.75, abs=0.01)
    assert week_rates("code").peak_to_valley(HALF_HOUR_S) == pytest.approx(37.6, abs=0.05)


def same(one, other):
    return all(
        np.array_equal(getattr(one, column), getattr(other, column))
        for column in ("arrival_ns", "prompt_tokens", "output_tokens")
    )


def joined(chunks):
    columns = [(c.arrival_ns, c.prompt_tokens, c.output_tokens) for c in chunks]
    return trace_of("joined", *(np.concatenate(parts) for parts in zip(*columns, strict=True)))


@given(st.integers(1, 200), st.integers(0, 9))
@settings(max_examples=15)
def test_chunks_are_the_whole(periods, seed):
    source = week_source("conv", seed, scale=0.0005, end_s=86_400.0)
    assert same(joined(source.chunks(periods)), source.trace())


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(86_400, 90_000), (86_401, 89_999), (86_700, 86_900), (604_000, 604_800)]
)
def test_a_window_is_a_part_of_the_week(start_s, end_s):
    whole = week_trace("code", 5, scale=0.01)
    start_ns, end_ns = start_s * 10**9, end_s * 10**9
    part = week_trace("code", 5, scale=0.01, start_s=start_s, end_s=end_s)
    inside = (whole.arrival_ns >= start_ns) & (whole.arrival_ns < end_ns)
    assert np.array_equal(part.arrival_ns, whole.arrival_ns[inside] - start_ns)
    assert np.array_equal(part.output_tokens, whole.output_tokens[inside])


def test_week_follows_its_rates_and_says_what_was_scaled():
    source = week_source("conv", 2, scale=0.01)
    trace = source.trace()
    counted = np.bincount(trace.arrival_ns // (600 * 10**9), minlength=1008)
    expected = week_rates("conv").per_s * 600 * 0.01
    # Poisson: squared deviations in units of the mean are 1 on average, to 4.5 % over 1,008 periods.
    assert np.mean((counted - expected) ** 2 / expected) == pytest.approx(1.0, abs=0.2)
    assert "digitised" in trace.description
    assert "rates scaled by 0.01" in trace.description


def test_one_chunk_holds_a_busy_hour():
    """27 million requests go by in pieces: the busiest hour of the unscaled week is one of the largest."""
    chunk = next(week_source("conv", 0, start_s=4 * 86_400 + 50_400).chunks())
    assert 150_000 < len(chunk) < 300_000


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"service": "chat"}, "service"),
        ({"scale": 0.0}, "scale"),
        ({"scale": float("inf")}, "scale"),
        ({"start_s": -1.0}, "window"),
        ({"start_s": 1200.0, "end_s": 600.0}, "window"),
        ({"end_s": 8 * 86_400.0}, "window"),
        ({"seed": 2**32}, "seed"),
    ],
)
def test_week_refuses(change, key):
    with pytest.raises(TraceError) as caught:
        week_source(**{"service": "conv", "seed": 0} | change)
    assert caught.value.key == key


def test_a_piece_too_large_is_refused_before_it_is_drawn():
    with pytest.raises(TraceError, match="at most 30000000 requests in one piece"):
        week_trace("conv", 0, scale=2.0)


def test_nothing_arrives():
    quiet = RateSeries(np.arange(2.0), np.zeros(2), 1.0, "quiet")
    source = RateTrace(quiet, Lengths2024("conv"), 0, "quiet")
    assert list(source.chunks()) == []
    with pytest.raises(TraceError, match="at least one request"):
        source.trace()
    assert quiet.peak_to_valley(1.0) == float("inf")


def test_lengths_of_2024_repeat_their_distribution():
    prompts, outputs = Lengths2024("conv").draw(20_000, np.random.default_rng(0))
    assert np.percentile(prompts, 50) == pytest.approx(895.8, rel=0.1)
    assert np.percentile(outputs, 90) == pytest.approx(331.5, rel=0.05)
    assert prompts.min() >= 1
    assert outputs.min() >= 1


def test_paired_lengths_stay_pairs():
    source = trace_of("pairs", [0, 1, 2], [10, 20, 30], [1, 2, 3])
    prompts, outputs = PairedLengths(source).draw(100, np.random.default_rng(0))
    assert np.array_equal(prompts, 10 * outputs)


def test_classes_of_the_public_hour():
    """The shares that the specification counted in the 2023 files."""
    conv, code = class_percent(azure_2023("conv")), class_percent(azure_2023("code"))
    wanted = [3.6, 9.8, 0.05, 19.0, 10.4, 7.7, 15.1, 8.8, 25.6]
    assert [conv[name] for name in CLASSES] == pytest.approx(wanted, abs=0.06)
    assert [code[name] for name in ("LS", "MS", "SS")] == pytest.approx([59, 21, 15], abs=0.5)


@pytest.mark.parametrize(
    ("prompt", "output", "name"),
    [(255, 99, "SS"), (256, 100, "MM"), (1023, 349, "MM"), (1024, 350, "LL"), (1, 350, "SL")],
)
def test_class_edges(prompt, output, name):
    assert CLASSES[int(class_ids(trace_of("one", [0], [prompt], [output]))[0])] == name


def test_mix_has_the_paper_shares():
    trace = class_mix(CONVERSATION_1H, 20, 1800, 4)
    percent = class_percent(trace)
    for name, share in CONVERSATION_1H.items():
        assert percent[name] == pytest.approx(share, abs=1.0)
    assert abs(len(trace) - 36_000) < 1_200
    assert trace.prompt_tokens.max() <= PROMPT_TOKENS_MAX
    assert sum(CONVERSATION_1H.values()) == 100


@pytest.mark.parametrize(
    ("percent", "key"),
    [
        ({"XX": 100.0}, "percent.XX"),
        ({"SS": -1.0, "LL": 101.0}, "percent.SS"),
        ({"SS": float("nan")}, "percent.SS"),
        ({"SS": 50.0}, "percent"),
        ({}, "percent"),
    ],
)
def test_mix_refuses(percent, key):
    with pytest.raises(TraceError) as caught:
        class_mix(percent, 1, 1, 0)
    assert caught.value.key == key


def test_mix_needs_requests_of_the_class():
    only_short = trace_of("short", [0], [1], [1])
    with pytest.raises(TraceError, match=r"percent\.LL: expected requests of this class in short"):
        class_mix({"LL": 100.0}, 1, 10, 0, only_short)
