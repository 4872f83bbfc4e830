"""What the simulator relies on, asked of every profile that ships, in both modes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.models.catalog import GPUS, MODELS
from inference.models.context_latency import ContextLatency
from inference.models.latency import Mode, latency_model, latency_provenance, profiled
from inference.models.protocols import LatencyModel

MODES: tuple[Mode, ...] = ("table", "context")
EVERY = [(mode, *kind) for mode in MODES for kind in profiled(mode)]


@pytest.fixture(params=EVERY, ids=lambda kind: "-".join(map(str, kind)), scope="module")
def latency(request) -> LatencyModel:
    mode, model, gpu, tp = request.param
    return latency_model(MODELS[model], GPUS[gpu], tp, mode)


@settings(max_examples=25)
@given(
    batch=st.integers(1, 512),
    mean=st.integers(1, 4096),
    tokens=st.integers(1, 20_000),
    elapsed_ns=st.integers(0, 10**13),
)
def test_times_are_whole_positive_and_consistent(latency, batch, mean, tokens, elapsed_ns):
    context = batch * mean
    one = latency.decode_ns(batch, context, 1)
    prefill = latency.prefill_ns(tokens, 0)
    mixed = latency.mixed_ns(tokens, 0, batch, context)
    assert all(isinstance(time_ns, int) and time_ns >= 1 for time_ns in (one, prefill, mixed))
    if isinstance(
        latency, ContextLatency
    ):  # a published table may fall: 58 ms for 128 tokens, 52 for 256
        assert mixed > prefill
    assert latency.decode_ns(batch, context, 3) >= 3 * one
    begun = latency.decodes_begun(batch, context, elapsed_ns)
    assert begun >= 1
    before = latency.decode_ns(batch, context, begun - 1)
    assert before <= elapsed_ns < latency.decode_ns(batch, context, begun)
    clock = latency.at_clock(1200)
    assert clock is latency.at_clock(1200)
    assert clock.decode_ns(batch, context, 1) >= one
    assert clock.prefill_ns(tokens, 0) >= prefill


def test_each_says_where_it_comes_from():
    for mode, model, gpu, tp in EVERY:
        provenance = latency_provenance(MODELS[model], GPUS[gpu], tp, mode)
        assert provenance.by
        assert provenance.source.endswith(("(MIT)", "(Apache-2.0)", "(figures of a paper)"))


# Splitwise's characterisation, without batching, medians of the code (1469/13) and conversation (1020/129) traces (SW12).
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("gpu", "prompt", "output", "ttft_ms", "tbt_ms"),
    [
        ("a100-80gb", 1469, 13, 185, 52),
        ("a100-80gb", 1020, 129, 155, 40),
        ("h100-80gb", 1469, 13, 95, 31),
        ("h100-80gb", 1020, 129, 84, 28),
    ],
)
def test_llama_alone_is_as_fast_as_characterised(mode, gpu, prompt, output, ttft_ms, tbt_ms):
    """Within 20 %: theirs is a distribution over lengths, ours the time at its median length."""
    latency = latency_model(MODELS["llama2-70b"], GPUS[gpu], 8, mode)
    assert latency.prefill_ns(prompt, 0) / 1e6 == pytest.approx(ttft_ms, rel=0.2)
    tbt = latency.decode_ns(1, prompt, output) / output / 1e6
    assert tbt == pytest.approx(tbt_ms, rel=0.2)
