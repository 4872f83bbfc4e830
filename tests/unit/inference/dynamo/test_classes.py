import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.policies.dynamo.classes import (
    PAPER_MIX,
    TABLE_IV,
    TERCILES,
    quantile_taxonomy,
    taxonomy,
)
from inference.traces.bundled import numbers


def _conv() -> tuple[np.ndarray, np.ndarray]:
    table = numbers("azure_conv_2023.csv.gz")
    return table["prompt_tokens"].astype(np.int64), table["output_tokens"].astype(np.int64)


def test_nine_classes_with_the_papers_objectives():
    assert [kind.name for kind in TABLE_IV.classes] == [
        "SS",
        "SM",
        "SL",
        "MS",
        "MM",
        "ML",
        "LS",
        "LM",
        "LL",
    ]
    assert [kind.ttft_ms for kind in TABLE_IV.classes] == [250.0] * 3 + [400.0] * 3 + [2000.0] * 3
    assert {kind.tbt_ms for kind in TABLE_IV.classes} == {100.0}


@pytest.mark.parametrize(
    ("prompt", "output", "name"),
    [
        (1, 1, "SS"),
        (255, 99, "SS"),
        (256, 99, "MS"),
        (255, 100, "SM"),
        (1023, 349, "MM"),
        (1024, 350, "LL"),
        (8192, 350, "LL"),
        (90_000, 1, "LS"),
    ],
)
def test_edges_belong_to_the_bin_above(prompt, output, name):
    assert TABLE_IV.classes[TABLE_IV.classify(prompt, output)].name == name


@given(st.lists(st.tuples(st.integers(1, 20_000), st.integers(1, 3_000)), min_size=1))
def test_columns_and_scalars_agree(pairs):
    prompts, outputs = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    scalar = [TABLE_IV.classify(prompt, output) for prompt, output in pairs]
    assert TABLE_IV.classify_columns(prompts, outputs).tolist() == scalar


def test_a_class_is_within_its_own_upper_ends():
    for class_id, kind in enumerate(TERCILES.classes):
        assert TERCILES.classify(kind.prompt_tokens_max, kind.output_tokens_max) == class_id


def test_promotion_ends_at_the_largest_class():
    for class_id in range(len(TABLE_IV)):
        path = [class_id]
        while (larger := TABLE_IV.next_larger(path[-1])) is not None:
            assert TABLE_IV.dominates(larger, path[-1])
            path.append(larger)
        assert path[-1] == 8


def test_spilling_goes_upwards_and_nearest_first():
    spill = TABLE_IV.spill
    assert spill[8] == (8,)
    assert spill[0][:3] == (0, 1, 3)
    assert set(spill[0]) == set(range(9))
    assert set(spill[4]) == {4, 5, 7, 8}


def test_the_papers_mix_is_the_2023_trace_at_its_terciles():
    prompts, outputs = _conv()
    classes = TERCILES.classify_columns(prompts, outputs)
    share = np.bincount(classes, minlength=9) / len(classes)
    assert np.abs(share - PAPER_MIX).max() < 0.012
    printed = np.bincount(TABLE_IV.classify_columns(prompts, outputs), minlength=9) / len(classes)
    assert np.abs(printed - PAPER_MIX).max() > 0.1


def test_finer_grids_promise_what_their_strictest_request_is_promised():
    prompts, outputs = _conv()
    grid = quantile_taxonomy(prompts, outputs, 4, 4, TERCILES)
    assert len(grid) == 16
    assert [grid.classes[4 * row].ttft_ms for row in range(4)] == sorted(
        TERCILES.classes[TERCILES.classify(low, 1)].ttft_ms for low in (1, *grid.prompt_edges)
    )
    assert len(quantile_taxonomy(prompts, outputs, 1, 1, TERCILES)) == 1


def test_edges_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match="rise"):
        taxonomy("wrong", (10, 10), (5,), (1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="objectives"):
        taxonomy("wrong", (10, 20), (5,), (1.0, 2.0))
