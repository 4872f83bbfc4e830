"""KV memory: what fits, what does not, and blocks against a count by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import ScenarioError
from inference.models.catalog import GPUS, MODELS
from inference.models.kv import BLOCK_TOKENS, KvBudget, kv_budget

A100 = GPUS["a100-80gb"]


def test_a_machine_of_eight_holds_bloom_and_about_89_thousand_tokens():
    budget = kv_budget(MODELS["bloom-176b"], A100, 8)
    assert budget.tokens == (8 * 85_899_345_920 - 329_000_000_000) // 4_014_080 == 89_234


def test_gqa_holds_eight_times_the_tokens():
    gqa = kv_budget(MODELS["llama2-70b"], A100, 8).tokens
    mha = kv_budget(MODELS["llama2-70b-mha"], A100, 8).tokens
    assert 7.9 < gqa / mha < 8.0


def test_distserve_found_about_as_many_tokens():
    """It lists 66,144 tokens on an A100-80G for OPT-13B: the same KV cache as Llama-2-13B, and 1 % less weights."""
    budget = kv_budget(MODELS["llama2-13b"], A100, 1, reserve_share=0.1, block_tokens=BLOCK_TOKENS)
    assert budget.tokens % BLOCK_TOKENS == 0
    assert budget.tokens == pytest.approx(66_144, rel=0.06)


@pytest.mark.parametrize(
    ("model", "tp", "tokens", "reserve"),
    [
        ("bloom-176b", 2, 1, 0.0),  # weights alone are too large
        ("llama2-70b", 2, 200_000, 0.0),  # one request is
        ("llama3.1-70b", 2, 1, 0.2),  # the reserve is
    ],
)
def test_what_does_not_fit_is_refused_with_the_sizes(model, tp, tokens, reserve):
    with pytest.raises(ScenarioError, match=rf"{model} on {tp} x a100-80gb: memory: expected .*GB"):
        kv_budget(MODELS[model], A100, tp, request_tokens=tokens, reserve_share=reserve)


def test_nonsense_is_a_programmers_mistake():
    with pytest.raises(ValueError, match="tp=0"):
        kv_budget(MODELS["llama2-7b"], A100, 0)
    with pytest.raises(ValueError, match="reserve_share=1"):
        kv_budget(MODELS["llama2-7b"], A100, 1, reserve_share=1.0)


def test_blocks_round_up():
    budget = KvBudget(10_000, 0, 0, 10, 16)
    assert (budget.blocks, budget.tokens) == (62, 992)
    assert [budget.blocks_for(tokens) for tokens in (0, 1, 16, 17)] == [0, 1, 1, 2]
    assert budget.bytes_for(17) == 320


@given(
    contexts=st.lists(st.integers(1, 200), min_size=1, max_size=20),
    spare=st.integers(0, 60),
    size=st.sampled_from([1, 4, 16]),
)
def test_iterations_left_is_the_last_that_fits(contexts, spare, size):
    budget = KvBudget(1, 0, 0, 1, size)
    blocks = budget.blocks_after(contexts, 0) + spare
    left = budget.iterations_left(contexts, blocks)
    assert budget.blocks_after(contexts, left) <= blocks
    assert budget.blocks_after(contexts, left + 1) > blocks


def test_a_batch_that_is_over_already_has_none_left():
    assert KvBudget(1, 0, 0, 1, 16).iterations_left([100, 100], 3) == 0
    assert KvBudget(1, 0, 0, 1, 16).iterations_left([], 3) == 0
