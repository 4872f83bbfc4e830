"""Truth mode: contexts cost time, a run of iterations is their sum, and its inverse is exact."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.models.catalog import GPUS, MODELS
from inference.models.clock import ClockLaw, clock_law
from inference.models.context_latency import ContextLatency
from inference.models.context_profile import ContextProfile
from inference.models.latency import latency_model, latency_provenance, profiled
from inference.models.provenance import Origin, Provenance

BLOOM = MODELS["bloom-176b"]
LLAMA = MODELS["llama2-70b"]
A100, H100, PCAP = GPUS["a100-80gb"], GPUS["h100-80gb"], GPUS["h100-80gb-pcap"]

MADE = ContextProfile(
    name="made.toml",
    provenance=Provenance(Origin.MODELLED, "a test", "nothing", "", "here"),
    base_ns=1000.0,
    per_request_ns=10.0,
    context_ns=0.5,
    lone_context_ns=0.0,
    prefill_tokens=(1, 100, 200),
    prefill_ns=(1000.0, 1000.0, 3000.0),
    cached_ns=0.5,
    pair_ns=0.25,
    tokens_min=50,
    tokens_max=200,
    batch_max=8,
    context_max=10_000,
    prefill_mape_percent=0.0,
    decode_mape_percent=0.0,
)
LAW = ClockLaw(compute_share=1.0, memory_share=0.5)


def made(**changes: float) -> ContextLatency:
    profile = dataclasses.replace(MADE, **changes)  # type: ignore[arg-type]
    return ContextLatency(profile, LAW, 1000)


def shipped(model=BLOOM, gpu=H100, tp=8) -> ContextLatency:
    latency = latency_model(model, gpu, tp, "context")
    assert isinstance(latency, ContextLatency)
    return latency


def test_decode_costs_weights_requests_and_contexts():
    assert made().decode_ns(4, 600, 1) == 1000 + 40 + 300
    assert made(lone_context_ns=2.0).decode_ns(4, 600, 1) == 1000 + 40 + 600
    # 600, 604, 608 tokens
    assert made().decode_ns(4, 600, 3) == 3 * 1040 + 906


@given(
    batch=st.integers(1, 512),
    mean=st.integers(1, 8192),
    elapsed_ns=st.integers(0, 10**15),
    clock_mhz=st.integers(200, 1980),
)
def test_decodes_begun_is_the_exact_inverse(batch, mean, elapsed_ns, clock_mhz):
    latency = shipped().at_clock(clock_mhz)
    context = batch * mean
    begun = latency.decodes_begun(batch, context, elapsed_ns)
    assert begun >= 1
    before = latency.decode_ns(batch, context, begun - 1)
    assert before <= elapsed_ns < latency.decode_ns(batch, context, begun)


@given(
    batch=st.integers(1, 64),
    context=st.integers(0, 3000),
    elapsed_ns=st.integers(0, 10**7),
    context_ns=st.floats(0, 1e4),
)
def test_so_it_is_where_contexts_weigh_more_than_weights(batch, context, elapsed_ns, context_ns):
    latency = made(context_ns=context_ns)
    begun = latency.decodes_begun(batch, context, elapsed_ns)
    before = latency.decode_ns(batch, context, begun - 1)
    assert before <= elapsed_ns < latency.decode_ns(batch, context, begun)


@given(
    batch=st.integers(1, 256),
    context=st.integers(1, 10**6),
    first=st.integers(1, 1000),
    second=st.integers(1, 1000),
)
def test_a_run_cut_in_two_takes_as_long(batch, context, first, second):
    latency = shipped()
    whole = latency.decode_ns(batch, context, first + second)
    halves = latency.decode_ns(batch, context, first) + latency.decode_ns(
        batch, context + first * batch, second
    )
    assert whole - 1 <= halves <= whole


@given(st.integers(1, 40_000), st.integers(1, 40_000), st.integers(0, 30_000))
def test_more_tokens_never_prefill_faster(tokens, more, cached):
    latency = shipped(LLAMA)
    assert latency.prefill_ns(tokens, cached) <= latency.prefill_ns(tokens + more, cached)
    assert latency.prefill_ns(tokens, cached) <= latency.prefill_ns(tokens, cached + more)


def test_cached_context_costs_its_attention():
    assert made().prefill_ns(100, 40) == 1000 + 20 + 1000
    assert made().prefill_ns(100, 0) == 1000


def test_mixed_adds_what_the_decodes_bring():
    latency = made()
    assert latency.mixed_ns(150, 0, 4, 600) == latency.prefill_ns(150, 0) + 40 + 300
    assert latency.mixed_ns(150, 0, 1, 1) >= latency.prefill_ns(150, 0)


def test_lower_clocks_hit_prefill_more_than_decode():
    slow = made().at_clock(500)
    assert slow.decode_ns(4, 600, 1) == round(1040 * 1.5) + 450
    # The floor of 1000 is memory-bound, the 2000 above it compute-bound.
    assert slow.prefill_ns(200, 0) == 1500 + 4000
    assert slow.prefill_ns(100, 0) == 1500


def test_each_clock_is_one_object_and_counts_with_the_others():
    latency = made()
    slow = latency.at_clock(500)
    assert slow is latency.at_clock(500) is slow.at_clock(500)
    assert slow.at_clock(1000) is latency is latency.at_clock(2000)
    slow.prefill_ns(10, 0)
    latency.prefill_ns(201, 0)
    slow.decode_ns(9, 90, 1)
    latency.decode_ns(8, 10_001, 5)
    latency.decode_ns(8, 10_000, 1)
    assert latency.coverage is slow.coverage
    assert latency.coverage.extrapolated == 4
    assert latency.coverage.warnings()[2] == (
        "made.toml: 2 decode calls above the profiled 8 requests with 10000 tokens of context "
        "were extrapolated"
    )
    with pytest.raises(ValueError, match="at least 1 MHz, found 0"):
        latency.at_clock(0)


def test_batch_of_64_decodes_in_about_twice_the_time_of_one():
    """Splitwise, SW13: BLOOM on A100."""
    latency = shipped(BLOOM, A100)
    assert latency.decode_ns(64, 64 * 576, 1) / latency.decode_ns(1, 576, 1) == pytest.approx(
        2, rel=0.1
    )


def test_prefill_of_1500_tokens_is_about_six_decodes():
    """Splitwise, SW13: BLOOM, by its measurements on H100 5.2, on A100 8.2."""
    for gpu, low, high in ((H100, 4.5, 6.5), (A100, 7.0, 9.0)):
        latency = shipped(BLOOM, gpu)
        assert low < latency.prefill_ns(1500, 0) / latency.decode_ns(1, 1500, 1) < high


def test_a_capped_h100_prefills_slower_and_decodes_alike():
    capped, free = shipped(LLAMA, PCAP), shipped(LLAMA, H100)
    assert capped.prefill_ns(2048, 0) / free.prefill_ns(2048, 0) == pytest.approx(1.3, abs=1e-6)
    assert capped.decode_ns(8, 9000, 50) == free.decode_ns(8, 9000, 50)


def test_clock_law_stays_within_what_is_published():
    """Greener (at most 5 % less throughput at 1.6 GHz) and POLCA (at most 7 % slower at 1110 MHz)."""
    h100, a100 = shipped(LLAMA, H100), shipped(BLOOM, A100)
    decode = (16, 16 * 1000, 100)
    assert 1.0 < h100.at_clock(1600).decode_ns(*decode) / h100.decode_ns(*decode) < 1.05
    request = a100.prefill_ns(3000, 0) + a100.decode_ns(*decode) * 5
    slow = a100.at_clock(1110)
    assert (slow.prefill_ns(3000, 0) + slow.decode_ns(*decode) * 5) / request < 1.07
    assert clock_law(H100).compute_stretch(1480, 1980) == pytest.approx(1.3, abs=0.01)


def test_every_fit_that_ships_is_good_and_says_what_it_is():
    known = profiled("context")
    assert {("llama2-70b", "h100-80gb", 2), ("llama3.1-8b", "h100-80gb", 1)} < set(known)
    for model, gpu, tp in known:
        latency = shipped(MODELS[model], GPUS[gpu], tp)
        assert 0 < latency.decode_ns(1, 100, 1) <= latency.decode_ns(32, 32 * 100, 1)
        origin = latency_provenance(MODELS[model], GPUS[gpu], tp, "context").origin
        if model.startswith(("opt", "llama2-7b")):
            assert origin is Origin.QUOTED
            assert latency.profile.decode_mape_percent is None
        else:
            assert origin is Origin.MODELLED
            assert latency.profile.decode_mape_percent is not None
            assert latency.profile.decode_mape_percent < 5
            assert latency.profile.prefill_mape_percent is not None
            assert latency.profile.prefill_mape_percent < 5


@pytest.mark.parametrize(("batch", "published_ms"), [(8, 16.6), (511, 73.9)])
def test_llama3_decodes_a_third_slower_than_a_whole_engine(batch, published_ms):
    """ML.ENERGY v3: median ITL of Llama-3.1-70B on 4 H100; ours is composed of layers that ran eagerly."""
    latency = shipped(MODELS["llama3.1-70b"], H100, 4)
    ms = latency.decode_ns(batch, batch * 600, 1) / 1e6
    assert ms / published_ms == pytest.approx(1.3, abs=0.1)


def test_distserves_opt_13b_is_its_published_polynomial():
    latency = shipped(MODELS["opt-13b"], A100, 1)
    decode_ms = 23.475041008414784 + 0.000592934466077393 * 8000 + 0.060726861260369455 * 16
    assert latency.decode_ns(16, 8000, 1) / 1e6 == pytest.approx(decode_ms, rel=1e-5)
    for tokens, error in ((512, 1e-5), (700, 5e-3)):  # at a knot, and between two
        square_ms = 8.076584822611088e-06 * tokens**2
        prefill_ms = 22.052204789310185 + 0.14050923870128956 * tokens + square_ms
        assert latency.prefill_ns(tokens, 0) / 1e6 == pytest.approx(prefill_ms, rel=error)


def test_the_routers_v100_has_its_papers_slopes():
    latency = shipped(MODELS["llama2-7b"], GPUS["v100-32gb"], 1)
    assert latency.prefill_ns(1563, 0) / 1e9 == pytest.approx(0.5, rel=1e-3)  # a heavy prompt
    more = latency.decode_ns(4, 3000, 1) - latency.decode_ns(4, 2000, 1)
    assert more / 1000 == pytest.approx(33_000)
    assert latency.decode_ns(1, 1, 1) / 1e9 == pytest.approx(0.02, rel=0.01)
