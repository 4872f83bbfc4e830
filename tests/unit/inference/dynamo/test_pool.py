from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.policies.dynamo.milp import Outcome
from inference.policies.dynamo.pool import PoolPlanner, move_units, pack, parts
from inference.policies.dynamo.survey import survey
from tests.unit.inference.dynamo.fake_hardware import BENCH, workloads


@cache
def planner() -> PoolPlanner:
    return PoolPlanner(survey(workloads(), BENCH, clocks_mhz=(1980,)))


COUNTS = st.fixed_dictionaries({2: st.integers(0, 6), 4: st.integers(0, 3), 8: st.integers(0, 2)})


@given(COUNTS)
def test_packing_fills_servers_without_waste(counts):
    gpus = sum(tp * number for tp, number in counts.items())
    servers = -(-gpus // 8)
    layouts = pack(counts, servers)
    assert sorted(tp for layout in layouts for tp in layout) == sorted(
        tp for tp, number in counts.items() for _ in range(number)
    )
    assert all(sum(layout) <= 8 for layout in layouts)


def test_packing_more_than_fits_is_an_error():
    with pytest.raises(ValueError, match="more than 1 servers"):
        pack({8: 1, 2: 1}, 1)


def test_replicas_in_both_layouts_stay():
    assert parts((4, 4), (4, 2, 2)) == ((4,), (2, 2))
    assert move_units((4, 4), (4, 2, 2)) == 2
    assert move_units((8,), (8,)) == 0
    assert move_units((8,), (4, 4)) == 1
    assert move_units((4, 2, 2), (4,)) == 0
    assert move_units((), (8,)) == 0
    assert move_units((4,), (4, 4)) == 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8), st.integers(1, 3), st.floats(0, 1))
def test_a_plan_carries_the_load_on_the_pools_own_gpus(class_id, servers, share):
    plan = planner()
    load = share * servers * plan.profile.load_max(class_id, 8) * plan.margin * 0.98
    layouts: list[tuple[int, ...]] = [(8,)] * servers
    for change in plan.plan(class_id, layouts, load):
        layouts[change.server] = change.layout
    tps = [tp for layout in layouts for tp in layout]
    assert sum(tps) <= 8 * servers
    assert tps
    assert plan.capacity(class_id, tps) >= load * (1 - 1e-6)


def test_a_quiet_pool_shrinks_its_replicas_and_grows_them_again():
    plan = planner()
    few = plan.plan(0, [(8,)], 0.5)
    assert [change.layout for change in few] == [(2,)]
    assert few[0].units == 3
    most = plan.capacity(0, (8,))
    assert [change.layout for change in plan.plan(0, [(2,)], most * 0.97)] == [(8,)]


def test_a_change_that_does_not_pay_is_left_undone():
    plan = planner()
    slow = PoolPlanner(plan.profile, tau_ns=120 * 10**9)
    assert slow.sharding(0, 1, 0.5).replicas() == {2: 1}
    assert slow.plan(0, [(8,)], 0.5) == ()
    assert plan.plan(0, [(8,)], 0.5)


def test_servers_that_fit_the_plan_are_not_touched():
    changes = planner().transition([(2, 2), (8,), (4, 4)], [(8,), (4, 4), (4, 4)])
    assert [(change.server, change.layout) for change in changes] == [(0, (4, 4))]


def test_equal_questions_are_solved_once():
    plan = PoolPlanner(planner().profile)
    load = plan.profile.load_max(4, 8) * 0.503
    assert plan.sharding(4, 2, load) is plan.sharding(4, 2, load * 1.003)


def test_a_load_beyond_the_pool_saturates_it():
    plan = planner()
    answer = plan.sharding(8, 1, plan.profile.load_max(8, 8) * 9)
    assert answer.outcome is Outcome.SATURATED
    assert plan.plan(8, [(8,)], plan.profile.load_max(8, 8) * 9) == ()
    assert plan.plan(8, [], 1.0) == ()
