"""Goal: the mixing score has the ranges that the paper states, falls the right way, and its router waits only as told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.domain.action import Route
from inference.policies.routing.chooser import WAIT
from inference.policies.routing.iteration_cost import IterationCost
from inference.policies.routing.mixing_impact import LeastMixing, MixingImpact
from tests.unit.inference.routing.toy import ToyCluster, ToyReplica, request

TOKENS = st.integers(1, 10**6)
COUNTS = st.integers(0, 10**4)
IMPACT = MixingImpact()


@given(TOKENS, TOKENS, COUNTS, COUNTS)
def test_ranges(prompt, output, residents, context):
    assert -1 <= IMPACT.prompt_part(prompt, context) <= 0
    assert -1 <= IMPACT.decode_part(prompt, output, residents) <= 1
    assert -1 <= IMPACT.score(prompt, output, residents, context) <= 0.5


@given(TOKENS, TOKENS, COUNTS, COUNTS)
def test_more_load_never_scores_higher(prompt, output, residents, context):
    score = IMPACT.score(prompt, output, residents, context)
    assert IMPACT.score(prompt, output, residents + 1, context) <= score
    assert IMPACT.score(prompt, output, residents, context + 100) <= score
    assert IMPACT.score(prompt + 100, output, residents, context) <= score


def test_by_hand():
    """2,000 prompt tokens beside 10,000 of context: 0.64 + 0.33 s, 0.47 s too long; 0.64 + 0.033 s for each resident."""
    assert IMPACT.prompt_part(2000, 10_000) == pytest.approx(-0.47)
    assert IMPACT.decode_part(2000, 1000, 2) == pytest.approx(1 - 2 * 0.673)
    assert IMPACT.score(2000, 1000, 2, 10_000) == pytest.approx((-0.47 - 0.346) / 2)
    assert MixingImpact(alpha=1.0).score(2000, 1000, 2, 10_000) == pytest.approx(-0.47)
    assert MixingImpact(IterationCost(1e-12, 1e-12)).score(2000, 1000, 2, 10_000) == pytest.approx(
        0.5
    )


def busy() -> ToyCluster:
    """Replica 0 has three requests, replica 1 one with a long context."""
    view = ToyCluster([ToyReplica(10**6), ToyReplica(10**6)])
    for number, (prompt, replica) in enumerate([(100, 0), (100, 0), (100, 0), (9000, 1)]):
        view.place(request(number, prompt, 10), Route(replica, replica))
    return view


def test_greedy_takes_the_highest_score():
    view = busy()
    assert LeastMixing().choose([0, 1], request(9, 1000, 1000), view, 0) == 1  # fewer to disturb
    only_prompt = LeastMixing(MixingImpact(epsilon_s=0.0, alpha=1.0))
    assert only_prompt.choose([0, 1], request(9, 1000, 1000), view, 0) == 0  # less context


def test_equal_scores_go_to_the_least_context():
    """All at the bottom of the scale: context decides, or one replica would be heaped up."""
    view = busy()
    assert LeastMixing().choose([0, 1], request(9, 900_000, 10), view, 0) == 0
    assert LeastMixing().choose([1, 0], request(9, 900_000, 10), view, 0) == 0


def test_waits_below_the_minimum_but_not_for_ever():
    view, one = busy(), request(9, 1000, 1000, arrival_ns=7)
    picky = LeastMixing(score_min=0.45, wait_ns_max=10**9)
    assert picky.choose([0, 1], one, view, 7) == WAIT
    assert picky.choose([0, 1], one, view, 7 + 10**9) == 1


def test_never_waits_for_an_empty_replica():
    view = ToyCluster([ToyReplica(10**6)])
    hopeless = LeastMixing(score_min=1.0)
    assert hopeless.choose([0], request(9, 900_000, 10), view, 0) == 0
