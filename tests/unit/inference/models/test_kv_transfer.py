"""KV transfers alone on their path: the formulas, and Splitwise's measured overheads (SW9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.models.catalog import GPUS, MODELS
from inference.models.kv_transfer import (
    SPLITWISE_SIM_BYTES_PER_S,
    KvPath,
    kv_path,
    residual_ns,
)
from inference.models.latency import latency_model

BLOOM = MODELS["bloom-176b"]
A100, H100 = GPUS["a100-80gb"], GPUS["h100-80gb"]


def test_the_slower_end_sets_the_pace():
    assert kv_path(H100, 8, H100, 8, 70).bytes_per_s == 400e9
    assert kv_path(H100, 8, A100, 8, 70).bytes_per_s == 200e9
    assert kv_path(H100, 2, A100, 8, 70).bytes_per_s == 100e9
    assert kv_path(H100, 8, A100, 8, 70).residual_ns == residual_ns(H100) == 5_000_000
    assert residual_ns(A100) == residual_ns(GPUS["v100-32gb"]) == 8_000_000


def test_splitwise_sims_link_takes_19_ms_for_the_median_prompt():
    """Spec B1: 19.1 ms at the median of the conversation trace, 1020 tokens."""
    path = KvPath(SPLITWISE_SIM_BYTES_PER_S, 70, 0)
    assert path.serialized_ns(1020 * BLOOM.kv_bytes_per_token) / 1e6 == pytest.approx(19.1, abs=0.1)


def test_layerwise_sends_during_the_prefill_what_it_can():
    path = KvPath(bytes_per_s=1e9, layers=10, residual_ns=50)
    assert path.layerwise_ns(1000, prefill_ns=0) == 1000
    assert path.layerwise_ns(1000, prefill_ns=500) == 550
    assert path.left_bytes(1000, prefill_ns=500) == 550
    assert path.layerwise_ns(1000, prefill_ns=10_000) == 50


@pytest.mark.parametrize("gpu", [A100, H100])
@pytest.mark.parametrize("tokens", [512, 1024, 1500, 2048])
def test_layerwise_costs_little_of_a_prefill(gpu, tokens):
    """SW9: a constant, below 7 % of the prefill; the second token 16.5 % late, and 64 % when serialized."""
    latency = latency_model(BLOOM, gpu, 8, "context")
    path = kv_path(gpu, 8, gpu, 8, BLOOM.layers)
    prefill_ns = latency.prefill_ns(tokens, 0)
    kv_bytes = tokens * BLOOM.kv_bytes_per_token
    visible_ns = path.layerwise_ns(kv_bytes, prefill_ns)
    assert visible_ns == residual_ns(gpu)
    assert visible_ns < 0.07 * prefill_ns
    second_ns = latency.decode_ns(1, tokens, 1)
    assert visible_ns / second_ns == pytest.approx(0.165, abs=0.035)
    if tokens == 2048:
        assert 0.5 < path.serialized_ns(kv_bytes) / second_ns < 0.9


@given(st.integers(0, 10**11), st.integers(0, 10**10), st.integers(1, 200))
def test_layerwise_never_loses_but_by_its_constant(kv_bytes, prefill_ns, layers):
    path = KvPath(200e9, layers, 8_000_000)
    visible_ns = path.layerwise_ns(kv_bytes, prefill_ns)
    assert path.residual_ns <= visible_ns <= max(path.residual_ns, path.serialized_ns(kv_bytes))
