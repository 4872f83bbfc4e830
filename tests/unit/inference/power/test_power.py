"""Goal: power is what was measured or quoted where somebody did, behaves between, and says what it is made of."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.domain.replica import Gpu
from inference.errors import ProfileError
from inference.models.catalog import GPUS, MODELS
from inference.models.power import power_model, power_provenance
from inference.models.power_clock import BRAKE_CLOCK_MHZ
from inference.models.power_curve import a100_curve, a100_profile, anchors, measured_curves
from inference.models.protocols import PowerModel
from inference.models.provenance import Origin

A100, H100, PCAP = (GPUS[name] for name in ("a100-80gb", "h100-80gb", "h100-80gb-pcap"))
LLAMA, BLOOM = MODELS["llama2-70b"], MODELS["bloom-176b"]


def measured_rows():
    profile = a100_profile()
    numbers = profile.numbers
    for row, name in enumerate(profile.labels["model"]):
        yield name, {key: float(column[row]) for key, column in numbers.items()}


def test_decode_power_of_the_a100_is_the_measured_one_at_every_batch():
    checked = 0
    for name, row in measured_rows():
        if row["prompt_tokens"] != 512:
            continue
        power = power_model(MODELS[name], A100, int(row["tp"]))
        fraction = power.decode_w(int(row["batch"]), 0) / power.tdp_w
        assert fraction == pytest.approx(row["average_fraction"], abs=0.015)
        checked += 1
    assert checked == 20


def test_prefill_power_of_the_a100_is_the_measured_peak_up_to_tdp():
    for name, row in measured_rows():
        power = power_model(MODELS[name], A100, int(row["tp"]))
        tokens = int(row["prompt_tokens"] * row["batch"])
        peak = power.prefill_peak_w(tokens) / power.tdp_w
        assert peak == pytest.approx(row["peak_fraction"], abs=0.14)
        assert power.prefill_w(tokens) <= power.tdp_w


def test_h100_meets_the_figures_it_is_fitted_to():
    power = power_model(MODELS["llama3.1-70b"], H100, 4)
    assert power.decode_w(8, 0) == pytest.approx(anchors()["h100_4_gpus_power_low"], rel=1e-6)
    assert power.decode_w(511, 0) == pytest.approx(anchors()["h100_4_gpus_power_high"], rel=1e-6)
    assert power_model(LLAMA, H100, 8).idle_w == pytest.approx(550.0)


def test_decode_power_is_nearly_flat_and_prefill_reaches_tdp():
    for gpu, model in ((A100, BLOOM), (H100, BLOOM), (A100, LLAMA), (H100, LLAMA)):
        power = power_model(model, gpu, 8)
        assert power.decode_w(16, 0) / power.decode_w(1, 0) < 1.15
        assert power.prefill_w(8192) > 0.98 * power.tdp_w


def test_half_the_power_is_almost_free_for_decode_and_dear_for_prefill():
    """SW13, with times as the latency side states them (0.15 of a decode and 0.9 of a prefill follow the clock)."""
    power = power_model(BLOOM, H100, 8)

    def slower(clock, share):
        return share * (H100.clock_mhz_max / clock - 1)

    assert slower(power.capped_decode(power.tdp_w / 2, 8), 0.15) < 0.05
    assert slower(power.capped_decode(power.tdp_w / 2, 64), 0.15) < 0.09
    assert slower(power.capped_prefill(power.tdp_w / 2, 8192), 0.9) > 0.30


def test_the_capped_kind_never_draws_more_than_half():
    power = power_model(BLOOM, PCAP, 8)
    assert power.prefill_w(8192) == pytest.approx(8 * 350.0)
    assert power.decode_w(64, 0) == pytest.approx(8 * 350.0)
    assert power_model(LLAMA, PCAP, 8).decode_w(1, 0) < 8 * 350.0


@pytest.mark.parametrize("clock", [288, 1110, 1275, 1305, 1410])
def test_an_a100_answers_at_the_clocks_of_polca(clock):
    power = power_model(BLOOM, A100, 8)
    locked = power.at_clock(clock)
    assert locked is power.at_clock(clock)
    assert locked.clock_mhz == clock
    assert locked.idle_w == power.idle_w < locked.decode_w(1, 0) <= power.decode_w(1, 0)


def test_the_lowest_lock_of_polca_gives_up_a_fifth_of_the_peak():
    power = power_model(BLOOM, A100, 8)
    kept = power.at_clock(1110).prefill_peak_w(8192) / power.prefill_peak_w(8192)
    assert 1 - kept == pytest.approx(anchors()["polca_bloom_power_cut"], abs=0.01)


def test_the_brake_takes_most_of_the_power_above_idle():
    for gpu in (A100, H100):
        power = power_model(BLOOM, gpu, 8)
        braked = power.at_clock(BRAKE_CLOCK_MHZ)
        assert braked.prefill_w(8192) - power.idle_w < 0.4 * (power.prefill_w(8192) - power.idle_w)


@pytest.mark.parametrize("clock", [0, -1, 1411])
def test_clocks_that_the_gpu_has_not_are_refused(clock):
    with pytest.raises(ValueError, match="clock_mhz"):
        power_model(BLOOM, A100, 8).at_clock(clock)


@given(
    gpu=st.sampled_from([A100, H100, PCAP, GPUS["v100-32gb"]]),
    model=st.sampled_from(sorted(MODELS)),
    tp=st.sampled_from([1, 2, 4, 8]),
    clock=st.integers(288, 1410),
    tokens=st.integers(1, 40_000),
    batch=st.integers(1, 2000),
)
@example(gpu=H100, model="llama3.1-70b", tp=1, clock=288, tokens=128, batch=168)
def test_power_is_ordered(gpu, model, tp, clock, tokens, batch):
    full = power_model(MODELS[model], gpu, tp)
    power = full.at_clock(clock)
    assert 0 < power.idle_w < power.decode_w(batch, 0) <= full.decode_w(batch, 0) <= full.tdp_w
    assert power.idle_w < power.prefill_w(tokens) <= full.prefill_w(tokens) <= full.tdp_w
    assert full.prefill_w(tokens) <= full.prefill_w(2 * tokens)
    # At a low clock a long prefill leaves the memory idle, which a short one does not: by 21 % at the brake's clock, with
    # more weights on one GPU than it holds.
    assert power.prefill_w(tokens) <= 1.25 * power.prefill_w(2 * tokens)
    assert power.decode_w(batch, 0) <= power.decode_w(2 * batch, 0)
    both = power.mixed_w(tokens, batch, 0)
    assert both >= power.decode_w(batch, 0)
    assert both <= full.tdp_w


@given(gpu=st.sampled_from([A100, H100]), share=st.floats(0.3, 0.99), tokens=st.integers(1, 8192))
def test_a_cap_is_held_by_the_highest_clock_that_holds_it(gpu, share, tokens):
    power = power_model(BLOOM, gpu, 8)
    cap_w = share * power.tdp_w
    clock = power.capped_prefill(cap_w, tokens)
    held = power.at_clock(clock)
    if clock > 1:
        assert held.prefill_peak_w(tokens) <= cap_w * (1 + 1e-9)
    if clock < gpu.clock_mhz_max:
        assert power.at_clock(clock + 1).prefill_peak_w(tokens) > cap_w * (1 - 1e-9)


@given(
    gpu=st.sampled_from([A100, H100]),
    share=st.floats(0.3, 0.99),
    tokens=st.integers(1, 8192),
    batch=st.integers(1, 64),
)
def test_no_iteration_passes_a_cap_at_its_clock(gpu, share, tokens, batch):
    power = power_model(BLOOM, gpu, 8)
    cap_w = share * power.tdp_w
    held = power.at_clock(power.capped(cap_w))
    if held.clock_mhz > 1:
        assert held.prefill_peak_w(tokens) <= cap_w * 1.02
        assert held.decode_w(batch, 0) <= cap_w * (1 + 1e-9)


def test_a_cap_below_idle_asks_for_the_lowest_clock():
    assert power_model(BLOOM, A100, 8).capped(100.0) == 1


def test_remembered_power_is_that_of_its_bucket():
    power = power_model(LLAMA, A100, 8)
    for tokens in (1, 15, 16, 500, 2000, 8191):
        assert power.prefill_w(tokens) == pytest.approx(power.prefill_mean_w(tokens), rel=0.04)


def test_more_gpus_draw_more_in_all_and_less_each():
    totals = [power_model(LLAMA, H100, tp).decode_w(16, 0) for tp in (2, 4, 8)]
    assert totals == sorted(totals)
    each = [total / tp for total, tp in zip(totals, (2, 4, 8), strict=True)]
    assert each == sorted(each, reverse=True)


def test_calls_outside_the_profile_are_counted_over_all_clocks():
    power = power_model(BLOOM, A100, 8)
    assert power.warnings() == ()
    power.decode_w(17, 0)
    power.at_clock(1110).decode_w(300, 0)
    power.prefill_w(9000)
    assert power.warnings() == (
        "power bloom-176b a100-80gb tp8: 1 prefill calls above the profiled 128 to 8192 tokens were extrapolated",
        "power bloom-176b a100-80gb tp8: 2 decode calls above the profiled 1 to 16 requests were extrapolated",
    )


def test_no_range_is_called_measured():
    power = power_model(LLAMA, H100, 8)
    power.decode_w(600, 0)
    assert power.warnings() == (
        "power llama2-70b h100-80gb tp8: 1 decode calls above the profiled 8 to 511 requests were extrapolated",
    )


def test_it_is_what_the_protocol_asks_for():
    power: PowerModel = power_model(LLAMA, H100, 8)
    assert power.at_clock(800).idle_w == power.idle_w


def test_nothing_modelled_is_called_measured():
    for gpu in (A100, H100, PCAP, GPUS["v100-32gb"]):
        for model in MODELS.values():
            for tp in (1, 2, 4, 8):
                assert power_provenance(model, gpu, tp).origin is Origin.MODELLED
    assert "measured medians" in power_provenance(BLOOM, A100, 8).note
    assert "nobody measured" in power_provenance(BLOOM, A100, 4).note


def test_four_pairs_were_measured():
    assert sorted(measured_curves()) == [
        ("bloom-176b", 8),
        ("llama2-70b", 2),
        ("llama2-70b", 4),
        ("llama2-70b", 8),
    ]


def test_an_unknown_gpu_is_named_with_those_known():
    gpu = Gpu("tpu-v9", 1, 1.0, 1.0, 1.0, 1.0, 1000, 500, 1.0)
    with pytest.raises(ProfileError, match=r"gpu: expected one of .*h100-80gb.*found 'tpu-v9'"):
        power_model(BLOOM, gpu, 8)
    with pytest.raises(ValueError, match="tp"):
        power_model(BLOOM, A100, 0)


def test_the_modelled_curve_comes_near_the_rows_it_was_drawn_from():
    """The work rule, applied to the measured pairs as if nobody had measured them."""
    errors = []
    for name, row in measured_rows():
        curve = a100_curve(MODELS[name].weights_bytes / row["tp"])
        tokens = int(row["prompt_tokens"] * row["batch"])
        errors.append(curve.prefill_fraction(tokens) - row["peak_fraction"])
    assert math.sqrt(sum(error**2 for error in errors) / len(errors)) < 0.12
