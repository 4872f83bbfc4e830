import pytest

from inference.domain.action import Reshard, StartReplica, StopReplica
from inference.domain.replica import ReplicaSpec
from inference.policies.dynamo.placement import START_NS, Placement, change_to
from inference.policies.dynamo.pool import SYNC_NS
from inference.policies.dynamo.reshard import TAU_NS
from tests.unit.inference.dynamo.fake_hardware import GPU, MODEL
from tests.unit.inference.dynamo.fake_view import FakeView


@pytest.fixture
def cluster() -> tuple[Placement, FakeView]:
    placement = Placement(ReplicaSpec(GPU, MODEL, 8), (2, 1))
    view = FakeView()
    view.add_specs(placement.initial_specs())
    assert placement.sync(view) == []
    return placement, view


def test_the_first_replicas_are_whole_servers(cluster):
    placement, view = cluster
    assert placement.replicas() == [(0, 0, 8), (1, 0, 8), (2, 1, 8)]
    assert view.pool == [0, 0, 1]
    assert all(server.settled for server in placement.servers)


def test_smaller_replicas_take_over_the_gpus_of_a_larger_one(cluster):
    placement, view = cluster
    server = placement.servers[0]
    actions = placement.reshard(server, change_to(server, (4, 2)))
    assert [type(one) for one in actions] == [Reshard]
    assert actions[0].replicas == (0,)
    assert [spec.tp for spec in actions[0].specs] == [4, 2]
    assert (actions[0].copy_ns, actions[0].pause_ns) == (3 * TAU_NS, SYNC_NS)
    assert not server.settled
    view.apply(actions)
    assert placement.sync(view) == []
    assert server.settled
    assert sorted(placement.replicas()) == [(1, 0, 8), (2, 1, 8), (3, 0, 4), (4, 0, 2)]


def test_a_replica_that_grows_is_replaced_once_its_successor_is_up(cluster):
    placement, view = cluster
    server = placement.servers[0]
    view.apply(placement.reshard(server, change_to(server, (4,))))
    placement.sync(view)
    actions = placement.reshard(server, change_to(server, (8,)))
    assert actions == [StartReplica(placement._of(0, 8), TAU_NS + SYNC_NS)]
    assert placement.sync(view) == []
    view.apply(actions)
    assert placement.sync(view) == [StopReplica(3)]
    assert server.settled
    assert placement.sync(view) == []


def test_replicas_that_only_go_are_stopped(cluster):
    placement, view = cluster
    server = placement.servers[0]
    view.apply(placement.reshard(server, change_to(server, (2, 2))))
    placement.sync(view)
    assert placement.reshard(server, change_to(server, (2,))) == [StopReplica(3)]
    assert server.layout == (2,)


def test_servers_move_between_pools_with_their_replicas(cluster):
    placement, view = cluster
    view.clock_mhz[1] = 1200
    view.pending_tokens[0] = 50
    actions = placement.resize((1, 2), view, 7)
    assert [type(one) for one in actions] == [Reshard]
    assert (actions[0].replicas, actions[0].copy_ns) == ((1,), 0)
    assert [(spec.pool, spec.tp, spec.clock_mhz) for spec in actions[0].specs] == [(1, 8, 1200)]
    view.apply(actions)
    placement.sync(view)
    assert sorted(placement.replicas()) == [(0, 0, 8), (2, 1, 8), (3, 1, 8)]
    assert placement.owned == [(0, 3)]


def test_a_growing_and_shrinking_cluster_starts_and_stops_servers(cluster):
    placement, view = cluster
    more = placement.resize((2, 2), view, 5)
    assert more == [StartReplica(placement._of(1, 8), START_NS)]
    view.apply(more)
    placement.sync(view)
    less = placement.resize((1, 0), view, 9)
    assert {one.replica for one in less if isinstance(one, StopReplica)} <= {0, 1, 2, 3}
    assert len(less) == 3
    assert placement.owned == [(0, 3), (5, 4), (9, 1)]


def test_a_server_in_the_middle_of_a_change_is_left_alone(cluster):
    placement, view = cluster
    server = placement.servers[0]
    placement.reshard(server, change_to(server, (4, 4)))
    actions = placement.resize((0, 1), view, 3)
    assert [one.replica for one in actions if isinstance(one, StopReplica)] == [1]
    assert server in placement.servers
