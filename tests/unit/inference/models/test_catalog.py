"""The catalog: KV bytes per token as published, and clear errors for unknown names."""

import pytest

from inference.errors import ScenarioError
from inference.models.catalog import GPUS, MODELS, gpu_by_name, model_by_name


@pytest.mark.parametrize(
    ("model", "kv_bytes"),
    [
        ("bloom-176b", 4_014_080),  # spec A1: 4.01 MB
        ("llama2-70b-mha", 2_621_440),  # 2.62 MB, as splitwise-sim counts it
        ("llama2-70b", 327_680),  # 0.33 MB, real GQA
        ("llama2-7b", 524_288),
        ("llama2-13b", 819_200),
        ("llama3.1-8b", 131_072),
        ("llama3.1-70b", 327_680),
    ],
)
def test_kv_bytes_per_token(model, kv_bytes):
    assert MODELS[model].kv_bytes_per_token == kv_bytes


def test_sizes_agree_with_each_other():
    for name, model in MODELS.items():
        assert name == model.name
        assert model.heads * model.head_dim == model.hidden
        assert model.heads % model.kv_heads == 0
    for name, gpu in GPUS.items():
        assert name == gpu.name
        assert 0 < gpu.clock_mhz_min < gpu.clock_mhz_max


def test_ratios_of_the_machines_are_splitwises():
    a100, h100 = GPUS["a100-80gb"], GPUS["h100-80gb"]
    assert a100.memory_bytes == 85_899_345_920
    assert h100.tflops / a100.tflops == pytest.approx(3.43, abs=0.01)
    assert h100.memory_bytes_per_s / a100.memory_bytes_per_s == pytest.approx(1.64, abs=0.01)
    assert h100.tdp_w / a100.tdp_w == 1.75
    assert h100.price_usd_per_h / a100.price_usd_per_h == pytest.approx(2.16, abs=0.01)


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(ScenarioError, match=r"gpu: expected one of \['a100-80gb'.*found 'b300'"):
        gpu_by_name("b300")
    with pytest.raises(ScenarioError, match=r"model: expected one of .*found 'gpt-2'"):
        model_by_name("gpt-2")
    assert gpu_by_name("a100-80gb") is GPUS["a100-80gb"]
    assert model_by_name("bloom-176b") is MODELS["bloom-176b"]
