"""Goal: each heuristic chooses as its paper says, on clusters where the answer can be seen."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.domain.action import Route
from inference.policies.routing.chooser import WAIT
from inference.policies.routing.decode_balance import BinPacking, EvenDecodes, LeastWorkLeft
from inference.policies.routing.iteration_cost import IterationCost, context_of
from inference.policies.routing.max_capacity import MaxCapacity
from inference.policies.routing.min_min import MinMin
from inference.policies.routing.round_robin import RoundRobin
from inference.policies.routing.shortest_queue import (
    FewestPendingTokens,
    FewestRequests,
    FewestTokensLeft,
    LeastKvMemory,
    tokens_left,
)
from inference.policies.routing.small_large import SmallLarge
from inference.policies.routing.uniform import Uniform
from tests.unit.inference.routing.toy import ToyCluster, ToyReplica, request

S_NS = 10**9


def cluster(*loads: list[tuple[int, int]], tokens_max: int = 10_000) -> ToyCluster:
    """One replica for each list of (prompt, output) requests that are there, not yet prefilled."""
    made = ToyCluster([ToyReplica(tokens_max) for _ in loads])
    for index, load in enumerate(loads):
        for prompt, output in load:
            number = sum(len(one.ids) for one in made.replicas)
            made.place(request(number, prompt, output), Route(index, index))
    return made


def choose(chooser: Any, view: ToyCluster, one: Any = None, now_ns: int = 0) -> int:
    chosen: int = chooser.choose(range(len(view.replicas)), one or request(99), view, now_ns)
    return chosen


def test_round_robin_takes_turns_by_model_and_over_gaps():
    chooser, view = RoundRobin(), cluster([], [], [])
    assert [choose(chooser, view) for _ in range(4)] == [0, 1, 2, 0]
    assert chooser.choose([4, 5], request(model=1), view, 0) == 4
    assert chooser.choose([2, 7], request(), view, 0) == 2  # 1 has gone
    assert chooser.choose([0, 1], request(), view, 0) == 0  # round


@given(st.integers(0, 2**32), st.integers(1, 9))
def test_uniform_repeats_by_seed(seed, count):
    view = cluster(*[[] for _ in range(count)])
    draws = [[choose(policy, view) for _ in range(20)] for policy in (Uniform(seed), Uniform(seed))]
    assert draws[0] == draws[1]
    assert set(draws[0]) <= set(range(count))


def test_fewest_requests_and_ties_by_index():
    assert choose(FewestRequests(), cluster([(1, 1), (1, 1)], [(999, 999)], [(1, 1)])) == 1


def test_pending_tokens_count_prompts_and_one_for_each_decode():
    view = cluster([(50, 900)], [(20, 5), (20, 5)])
    assert choose(FewestPendingTokens(), view) == 1  # 51 against 42
    view.prefilled(0)
    assert choose(FewestPendingTokens(), view) == 0  # 1 against 42


def test_tokens_left_counts_what_is_still_to_do():
    view = cluster([(50, 10)], [(20, 30)])
    assert [tokens_left(0, view), tokens_left(1, view)] == [60, 50]
    view.prefilled(0)
    assert tokens_left(0, view) == 9
    assert choose(FewestTokensLeft(), view) == 0
    view.replicas[0].decodes[0][1] = 25  # it generates more than predicted
    assert tokens_left(0, view) == 1


def test_kv_memory_is_a_share_of_each_replica():
    view = ToyCluster([ToyReplica(10_000), ToyReplica(100_000)])
    view.place(request(0, 1000, 1000), Route(0, 0))
    view.place(request(1, 2000, 1000), Route(1, 1))
    assert choose(LeastKvMemory(), view) == 1


def test_max_capacity_reads_once_an_interval():
    view = cluster([(400, 100)], [(300, 100)])
    chooser = MaxCapacity(S_NS)
    assert choose(chooser, view) == 1
    view.complete(0)  # not seen before the next reading: 1 has 400 + 20 now, 0 still 500
    assert choose(chooser, view, now_ns=S_NS - 1) == 1
    assert choose(chooser, view, now_ns=S_NS) == 0


def test_max_capacity_spreads_a_burst_between_readings():
    view = cluster([], [], [])
    chooser = MaxCapacity(S_NS)
    assert [choose(chooser, view) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_min_min_weighs_prompts_before_it_against_contexts_beside_it():
    cost = IterationCost(prefill_s_per_token=0.001, decode_s_per_token=0.001, base_s=0.01)
    view = cluster([(100, 1)], [(10, 1)])
    assert choose(MinMin(cost), view) == 1
    view.prefilled(0)
    view.replicas[0].decodes.clear()  # 0 is empty now
    assert choose(MinMin(cost), view) == 0
    # 0.1 s of prompts (10 before it, 90 its own), then 10 iterations of 0.001 * (10 + 95) s.
    one = request(5, prompt=90, output=10)
    assert MinMin(cost).completion_s(1, one, view) == pytest.approx(0.101 + 10 * 0.105)


def test_iteration_cost_has_a_floor():
    cost = IterationCost()
    assert cost.iteration_s(0, 10) == 0.02
    assert cost.iteration_s(1000, 2000) == pytest.approx(0.32 + 0.066)
    assert context_of(cluster([(100, 9), (10, 9)]).residents(0)) == 110


@pytest.mark.parametrize(
    ("share", "heavy", "light"),
    [(0.5, {0, 1}, {2, 3}), (0.0, {0}, {1, 2, 3}), (1.0, {0, 1, 2}, {3})],
)
def test_small_large_keeps_long_decodes_apart(share, heavy, light):
    chooser, view = SmallLarge(250, share), cluster([], [], [], [])
    assert {choose(chooser, view, request(output=250)) for _ in range(9)} == heavy
    assert {choose(chooser, view, request(output=249)) for _ in range(9)} == light


def test_small_large_with_one_replica_serves_both():
    chooser, view = SmallLarge(), cluster([])
    assert choose(chooser, view, request(output=1000)) == choose(chooser, view) == 0


def test_decode_balancer_evens_out_all_that_was_routed():
    view = cluster([(1, 100)], [(1, 60), (1, 60)])
    assert choose(EvenDecodes(), view) == 0
    view.complete(1)
    view.complete(2)
    assert choose(EvenDecodes(), view) == 0  # completed work still counts
    assert choose(LeastWorkLeft(), view) == 1  # here it does not


def test_bin_packing_takes_the_fullest_that_has_room():
    view = cluster([(500, 100)], [(800, 100)], [], tokens_max=1000)
    assert choose(BinPacking(), view, request(9, 50, 50)) == 1
    assert choose(BinPacking(), view, request(9, 150, 50)) == 0
    assert choose(BinPacking(), view, request(9, 900, 50)) == 2
    assert choose(BinPacking(), view, request(9, 1000, 1)) == WAIT
