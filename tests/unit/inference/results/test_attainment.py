"""Goal: every request is judged by its class's objectives, failed ones too."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.domain.slo import RequestClass
from inference.results.attainment import attainment, classify
from inference.results.run import Status
from tests.support.runs import ints, one_request, requests_of, run_of, with_status

INPUTS = (("S", 255, 250.0), ("M", 1023, 400.0), ("L", 8192, 2000.0))
OUTPUTS = (("S", 99), ("M", 349), ("L", 10**9))
CLASSES = [
    RequestClass(name + output, prompts, outputs, ttft_ms, 100.0)
    for name, prompts, ttft_ms in INPUTS
    for output, outputs in OUTPUTS
]


def sized(prompts: int, outputs: int):
    return dataclasses.replace(
        one_request().requests, prompt_tokens=ints(prompts), output_tokens=ints(outputs)
    )


@pytest.mark.parametrize(
    ("prompts", "outputs", "name"),
    [
        (1, 1, "SS"),
        (255, 99, "SS"),
        (256, 99, "MS"),
        (255, 100, "SM"),
        (1023, 349, "MM"),
        (1024, 350, "LL"),
        (9000, 1, "LL"),
    ],
)
def test_a_class_is_found_by_true_lengths(prompts, outputs, name):
    assert CLASSES[classify(sized(prompts, outputs), CLASSES)[0]].name == name


@given(st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_classes_part_the_requests(count, seed):
    told = attainment(requests_of(count, seed), CLASSES)
    assert sum(one.requests for one in told.classes) == count
    met = sum(one.slo_attainment * one.requests for one in told.classes if one.requests)
    assert met == pytest.approx(told.slo_met)


def test_both_objectives_count():
    # TTFT 200 ms, TPOT 45 ms.
    requests = one_request().requests
    for ttft_ms, tbt_ms, met in ((200, 45, 1), (199, 45, 0), (200, 44, 0)):
        told = attainment(requests, [RequestClass("all", 9999, 9999, ttft_ms, tbt_ms)])
        assert (told.slo_met, told.slo_attainment, told.held) == (met, met, met == 1)


def test_failed_requests_are_misses_and_break_p99():
    lax = [RequestClass("all", 10**9, 10**9, 1e12, 1e12)]
    run = with_status(run_of(10), r1=Status.REFUSED, r2=Status.SQUASHED)
    told = attainment(run.requests, lax)
    assert told.slo_attainment == 0.8
    assert math.isinf(told.classes[0].ttft_ms.p99)
    assert not told.held
    assert attainment(run_of(10).requests, lax).held


def test_a_request_of_one_token_has_no_gap_to_miss():
    run = one_request(output_tokens=ints(1), completion_ns=one_request().requests.first_token_ns)
    assert attainment(run.requests, [RequestClass("all", 9999, 9999, 500, 0.001)]).held


def test_misrouting_is_told_where_requests_were_classified():
    requests = dataclasses.replace(requests_of(4), prompt_tokens=ints(1, 1, 1, 5000))
    two = [RequestClass("S", 255, 10**9, 1, 1), RequestClass("L", 10**9, 10**9, 1, 1)]
    assert math.isnan(attainment(requests, two).classes[0].misrouted_share)
    routed = dataclasses.replace(requests, class_id=ints(0, 1, -1, 1))
    told = attainment(routed, two)
    assert [one.misrouted_share for one in told.classes] == [0.5, 0.0]


def test_without_requests_there_is_no_share_and_nothing_broken():
    told = attainment(requests_of(0), CLASSES)
    assert math.isnan(told.slo_attainment)
    assert told.held


def test_no_classes_are_a_mistake():
    with pytest.raises(ValueError, match="at least one request class"):
        attainment(requests_of(1), [])


def test_the_first_class_that_fits_wins():
    same = [RequestClass("a", 9999, 9999, 1, 1), RequestClass("b", 9999, 9999, 1, 1)]
    assert np.unique(classify(requests_of(20), same)).tolist() == [0]
