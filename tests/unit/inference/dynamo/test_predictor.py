import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.policies.dynamo.classes import TABLE_IV
from inference.policies.dynamo.predictor import ClassPredictor

ANSWERS = (50, 200, 500)


def test_accuracy_and_neighbours_are_as_set():
    predictor = ClassPredictor(TABLE_IV, ANSWERS, accuracy=0.81, seed=3)
    for truth, tokens in enumerate(ANSWERS):
        seen = np.bincount([predictor.predict_bin(k, tokens) for k in range(20_000)], minlength=3)
        assert np.abs(seen / 20_000 - predictor.confusion()[truth]).max() < 0.01


@given(st.integers(0, 1 << 40), st.integers(1, 4000), st.integers(0, 1 << 30))
def test_an_answer_depends_on_seed_and_request_alone(request_id, output, seed):
    first = ClassPredictor(TABLE_IV, ANSWERS, seed=seed)
    first.predict(request_id + 1, 10, output)
    second = ClassPredictor(TABLE_IV, ANSWERS, seed=seed)
    assert first.predict(request_id, 10, output) == second.predict(request_id, 9, output)
    assert abs(first.predict_bin(request_id, output) - TABLE_IV.output_bin(output)) <= 1


def test_a_perfect_predictor_tells_the_bin_and_not_the_length():
    predictor = ClassPredictor(TABLE_IV, ANSWERS, accuracy=1.0)
    assert [predictor.predict(7, 10, tokens) for tokens in (1, 99, 100, 900)] == [50, 50, 200, 500]
    assert (predictor.class_confusion() == np.eye(9)).all()


def test_more_accuracy_never_spoils_a_right_answer():
    weak = ClassPredictor(TABLE_IV, ANSWERS, accuracy=0.6, seed=1)
    strong = ClassPredictor(TABLE_IV, ANSWERS, accuracy=0.9, seed=1)
    right = [k for k in range(2_000) if weak.predict_bin(k, 200) == 1]
    assert all(strong.predict_bin(k, 200) == 1 for k in right)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="share"):
        ClassPredictor(TABLE_IV, ANSWERS, accuracy=1.2)
    with pytest.raises(ValueError, match="output bin"):
        ClassPredictor(TABLE_IV, (50, 60, 500))
