"""Compat mode: the published table's medians, its interpolation and its quirks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import ProfileError
from inference.models.catalog import GPUS, MODELS
from inference.models.latency import latency_model, latency_provenance
from inference.models.profile import Profile
from inference.models.provenance import Origin, Provenance
from inference.models.table_latency import TableLatency

BLOOM = MODELS["bloom-176b"]
LLAMA = MODELS["llama2-70b"]
A100, H100, PCAP = GPUS["a100-80gb"], GPUS["h100-80gb"], GPUS["h100-80gb-pcap"]


def table(tokens=(128, 256, 512), prompt=(10.0, 20.0, 60.0), token=(5.0, 5.5, 6.0)) -> TableLatency:
    provenance = Provenance(Origin.MEASURED, "a test", "nothing", "", "here")
    columns = {"batch_tokens": tokens, "prompt_ms": prompt, "token_ms": token}
    arrays = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
    return TableLatency(Profile("made.csv", provenance, arrays, {}))


# Spec B1: medians in ms of batch tokens 128 … 32768.
@pytest.mark.parametrize(
    ("model", "gpu", "tokens", "prompt_ms"),
    [
        (BLOOM, A100, 512, 174.4),
        (BLOOM, H100, 2048, 252.0),
        (BLOOM, PCAP, 2048, 327.6),
        (LLAMA, A100, 32768, 7554),
        (LLAMA, H100, 1024, 77.7),
        (LLAMA, PCAP, 8192, 1081),
    ],
)
def test_prefill_is_the_published_median_where_there_is_one(model, gpu, tokens, prompt_ms):
    got = latency_model(model, gpu, 8, "table").prefill_ns(tokens, 0) / 1e6
    assert got == pytest.approx(prompt_ms, rel=2e-3)


def test_decode_looks_the_batch_up_on_the_axis_of_tokens():
    latency = latency_model(BLOOM, H100, 8, "table")
    assert latency.decode_ns(128, 10**6, 1) / 1e6 == pytest.approx(35.739242111142055, abs=1e-6)
    assert latency.decode_ns(128, 0, 1) == latency.decode_ns(128, 10**6, 1)
    assert latency.decode_ns(7, 0, 11) == 11 * latency.decode_ns(7, 0, 1)


def test_between_and_beyond_the_rows_it_is_linear():
    latency = table()
    assert latency.prefill_ns(192, 0) == 15_000_000
    assert latency.prefill_ns(384, 0) == 40_000_000
    assert latency.prefill_ns(1024, 0) == 140_000_000  # the last segment prolonged
    assert latency.prefill_ns(64, 0) == 5_000_000  # the first one
    assert latency.mixed_ns(180, 0, 12, 0) == 16_500_000  # 1.1 times


def test_an_edge_prolonged_below_zero_still_takes_time():
    assert table(prompt=(10.0, 200.0, 300.0)).prefill_ns(1, 0) == 1


def test_extrapolations_are_counted_by_side_and_phase():
    latency = table()
    for tokens in (1, 127, 128, 512, 513):
        latency.prefill_ns(tokens, 0)
    latency.decode_ns(4, 0, 100)
    latency.decode_ns(600, 0, 1)
    latency.decode_ns(128, 0, 1)
    latency.mixed_ns(100, 0, 20, 0)
    latency.mixed_ns(510, 0, 20, 0)
    coverage = latency.coverage
    assert (coverage.below_prefill, coverage.above_prefill) == (3, 2)
    assert (coverage.below_decode, coverage.above_decode) == (1, 1)
    assert coverage.extrapolated == 7
    assert coverage.warnings()[1] == (
        "made.csv: 2 prefill calls above the profiled 128 to 512 batch tokens were extrapolated"
    )
    assert table().coverage.warnings() == ()


@given(st.integers(1, 600), st.integers(0, 10**12))
def test_the_iteration_that_runs_is_the_first_to_end_later(batch, elapsed_ns):
    latency = table()
    begun = latency.decodes_begun(batch, 0, elapsed_ns)
    assert begun >= 1
    assert latency.decode_ns(batch, 0, begun - 1) <= elapsed_ns < latency.decode_ns(batch, 0, begun)


def test_clocks_are_one_object():
    latency = table()
    assert latency.at_clock(1200) is latency


def test_only_the_capped_rows_are_modelled():
    assert latency_provenance(BLOOM, H100, 8, "table").origin is Origin.MEASURED
    assert latency_provenance(BLOOM, PCAP, 8, "table").origin is Origin.MODELLED


def test_an_unknown_profile_lists_the_known():
    with pytest.raises(
        ProfileError, match=r"'llama2-70b', 'h100-80gb', 2.*found \('bloom-176b', 'a100-80gb', 4"
    ):
        latency_model(BLOOM, A100, 4, "table")


def test_a_table_of_one_row_is_none():
    with pytest.raises(ProfileError, match="at least 2"):
        table((128,), (1.0,), (1.0,))


def test_gqa_changes_memory_not_the_profile():
    mha = latency_model(MODELS["llama2-70b-mha"], A100, 8, "table")
    assert mha.prefill_ns(777, 0) == latency_model(LLAMA, A100, 8, "table").prefill_ns(777, 0)
