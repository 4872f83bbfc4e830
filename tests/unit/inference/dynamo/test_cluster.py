import math
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.policies.dynamo.classes import TABLE_IV, taxonomy
from inference.policies.dynamo.cluster import ServerPlanner, choose_pools
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.survey import survey
from tests.unit.inference.dynamo.fake_hardware import BENCH, mixed_workload, workloads

SERVERS = st.lists(st.floats(0, 5), min_size=9, max_size=9)


@cache
def profile() -> EnergyProfile:
    return survey(workloads(), BENCH, (8,), (1980,))


def _loads(servers: list[float]) -> list[float]:
    return [n * profile().load_max(k, 8) for k, n in enumerate(servers)]


@settings(deadline=None)
@given(SERVERS)
def test_no_demand_is_lost_and_only_the_largest_pool_rounds_up(servers):
    plan = ServerPlanner(profile(), TABLE_IV).plan(_loads(servers))
    assert sum(plan.demand) == pytest.approx(sum(servers), abs=1e-6)
    for pool in range(8):
        assert plan.servers[pool] == pytest.approx(plan.demand[pool], abs=1e-6)
        assert 0 <= plan.promoted[pool] < 1
    assert -1e-6 <= plan.servers[8] - plan.demand[8] < 1 + 1e-6
    assert sum(plan.servers) == math.ceil(sum(servers) - 1e-7)


@settings(deadline=None)
@given(SERVERS)
def test_rounding_up_every_pool_never_takes_fewer_servers(servers):
    whole = ServerPlanner(profile(), TABLE_IV, promotion=False).plan(_loads(servers))
    packed = ServerPlanner(profile(), TABLE_IV).plan(_loads(servers))
    assert sum(whole.servers) >= sum(packed.servers)
    assert not any(whole.promoted)


def test_a_small_cluster_takes_servers_from_who_needs_them_least():
    plan = ServerPlanner(profile(), TABLE_IV, promotion=False).plan(
        _loads([0.1, 0, 0, 0.9, 0, 0, 0, 0, 1.9]), servers_max=3
    )
    assert plan.servers == (0, 0, 0, 1, 0, 0, 0, 0, 2)


def test_a_class_that_no_server_can_hold_is_an_error():
    hopeless = mixed_workload()
    part = hopeless.components[0]._replace(share=1.0, ttft_ms=1.0)
    impossible = type(hopeless)("A", (part,))
    alone = survey([impossible], BENCH, (8,), (1980,))
    grid = taxonomy("one", (), (), (1.0,))
    with pytest.raises(ValueError, match="class A"):
        ServerPlanner(alone, grid).plan([1.0])


def test_the_number_of_pools_is_chosen_from_history():
    single = taxonomy("one", (), (), (2000.0,))
    alone = survey([workloads()[8]], BENCH, (8,), (1980,))
    history = [[0.2 * profile().load_max(k, 8) for k in range(9)]] * 3
    merged = [[sum(row)] for row in history]
    best, means = choose_pools([(TABLE_IV, profile()), (single, alone)], [history, merged])
    assert best == 0
    assert means[0] == 2.0
    assert means[1] > means[0]
