from functools import cache

import pytest

from inference.domain.action import MoveRequest, Reshard, SetClock, StartReplica
from inference.domain.replica import ReplicaSpec
from inference.domain.request import Request
from inference.domain.view import Resident
from inference.policies.dynamo.assembly import Assembly, Site, assemble
from inference.policies.dynamo.baselines import COMPOSITIONS
from inference.policies.dynamo.classes import TABLE_IV
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.survey import survey
from tests.unit.inference.dynamo.fake_hardware import BENCH, GPU, MODEL, workloads
from tests.unit.inference.dynamo.fake_view import FakeView

_S = 10**9
_FIVE_MINUTES_NS = 300 * _S


@cache
def profile() -> EnergyProfile:
    return survey(workloads(), BENCH, clocks_mhz=(800, 1200, 1600, 1980))


def _assembly(name: str, servers: float = 0.9) -> tuple[Assembly, FakeView]:
    """A cluster that expects so many servers' worth of load in pool SS and as much in LL."""
    load = [0.0] * 9
    load[0] = servers * 0.9 * profile().load_max(0, 8) / 1.1
    load[8] = servers * 0.9 * profile().load_max(8, 8) / 1.1
    history = (tuple(load),) * 24
    made = assemble(
        COMPOSITIONS[name], Site(TABLE_IV, profile(), ReplicaSpec(GPU, MODEL, 8), history)
    )
    view = FakeView()
    view.add_specs(made.replicas)
    made.routing.changed(view, 0)
    return made, view


def _decide(made: Assembly, view: FakeView, now_ns: int) -> list[object]:
    actions = [
        action
        for control in made.controls
        if now_ns % control.period_ns == 0
        for action in control.decide(view, now_ns)
    ]
    view.apply(actions)
    made.routing.changed(view, now_ns)
    return list(actions)


def test_a_cluster_starts_as_its_history_asks():
    made, _ = _assembly("DynamoLLM", servers=1.5)
    assert sorted(spec.pool for spec in made.replicas) == [0, 8, 8]
    assert {spec.tp for spec in made.replicas} == {8}
    whole, _ = _assembly("ScaleFreq", servers=1.5)
    assert sorted(spec.pool for spec in whole.replicas) == [0, 0, 8, 8]


def test_a_quiet_replica_is_clocked_down_and_a_busy_one_up():
    made, view = _assembly("ScaleFreq")
    _decide(made, view, 0)
    slowed = _decide(made, view, 5 * _S)
    assert {one.replica for one in slowed if isinstance(one, SetClock)} == {0, 1}
    assert view.clock_mhz[0] < 1980
    for k in range(400):
        made.routing.route(Request(k, 0, 100, 50), view, 5 * _S + k * 10**7)
    raised = _decide(made, view, 10 * _S)
    assert [one.replica for one in raised if isinstance(one, SetClock)] == [0]
    assert view.clock_mhz[0] == 1980
    assert _decide(made, view, 15 * _S) == []


def test_baselines_leave_clocks_and_sharding_alone():
    for name in ("MultiPool", "ScaleInst"):
        made, view = _assembly(name)
        for now_ns in range(0, 2 * _FIVE_MINUTES_NS, 5 * _S):
            assert not [
                one
                for one in _decide(made, view, now_ns)
                if isinstance(one, SetClock | Reshard | MoveRequest)
            ]


def test_pools_with_little_load_are_resharded_a_few_servers_at_a_time():
    made, view = _assembly("ScaleShard", servers=3.6)
    low = [0.0] * 9
    low[0], low[8] = 0.2 * profile().load_max(0, 8), 0.2 * profile().load_max(8, 8)
    view.apply(made.controls[2].decide(view, 5 * _S))
    template = made.controller.template
    for slot in range(24):
        for _ in range(200):
            template.observe(slot * _FIVE_MINUTES_NS, low)
    before = sum(view.tp)
    resharded = 0
    assert made.controls[1].decide(view, _FIVE_MINUTES_NS) == ()
    for now_ns in range(_FIVE_MINUTES_NS, _FIVE_MINUTES_NS + 60 * _S, 5 * _S):
        changed = made.controls[2].decide(view, now_ns)
        pools = [view.pool[one.replicas[0]] for one in changed if isinstance(one, Reshard)]
        assert len(pools) == len(set(pools)), "one server of a pool of four at a time"
        resharded += len(pools)
        view.apply(changed)
    assert resharded > 0
    left = [
        tp for replica, _, tp in made.controller.placement.replicas() if view.accepting[replica]
    ]
    assert sum(left) < before
    assert not made.controller.queued


def test_servers_follow_the_forecast_every_half_hour():
    made, view = _assembly("ScaleInst", servers=1.0)
    high = [0.0] * 9
    high[8] = 4.0 * profile().load_max(8, 8)
    _decide(made, view, 0)
    for slot in range(24):
        for _ in range(200):
            made.controller.template.observe(slot * _FIVE_MINUTES_NS, high)
    assert not [
        one for one in _decide(made, view, _FIVE_MINUTES_NS) if isinstance(one, StartReplica)
    ]
    started = _decide(made, view, 6 * _FIVE_MINUTES_NS)
    assert sum(isinstance(one, StartReplica) for one in started) >= 2
    assert made.controller.placement.owned[-1][1] == len(made.controller.placement.servers)


def test_requests_in_trouble_are_moved_to_a_larger_pool():
    made, view = _assembly("DynamoLLM", servers=1.2)
    _decide(made, view, 0)
    now_ns = 10 * _S
    small = next(k for k, pool in enumerate(view.pool) if pool == 0)
    view.waiting_requests[small] = 400
    view.held[small] = [Resident(k, now_ns - _S // 5, 200, 50, 0, False) for k in range(400)]
    moved = [one for one in made.controls[2].decide(view, now_ns) if isinstance(one, MoveRequest)]
    assert moved
    assert {view.pool[one.target] for one in moved} <= {0, 8}


def test_one_pool_needs_a_taxonomy_of_one_class():
    with pytest.raises(ValueError, match="one pool"):
        _assembly("SinglePool")
