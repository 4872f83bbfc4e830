"""Goal: Splitwise's three pools, and who moves between them when (Splitwise, section 4.1)."""

from inference.domain.action import Route
from inference.domain.replica import Role
from inference.domain.request import Request
from inference.policies.routing.splitwise import SplitwiseRouting
from tests.unit.inference.routing.toy import ToyCluster, ToyReplica

S = 1_000_000_000
PREFILL, DECODE = Role.PREFILL, Role.DECODE


def cluster(*roles: Role, tokens_max: int = 10_000) -> ToyCluster:
    return ToyCluster([ToyReplica(tokens_max, role) for role in roles])


def policy(
    view: ToyCluster, queue_tokens_max: int = 8192, repurpose_ns: int = 0
) -> SplitwiseRouting:
    made = SplitwiseRouting(queue_tokens_max, repurpose_ns)
    made.changed(view, 0)
    return made


def request(row: int, prompt: int = 100, output: int = 10) -> Request:
    return Request(row, 0, prompt, output)


def busy(view: ToyCluster, replica: int, row: int, prompt: int) -> None:
    """A prefill of so many tokens waits there."""
    view.replicas[replica].prefills[row] = request(row, prompt)


def test_each_phase_joins_the_shortest_queue_of_its_pool():
    view = cluster(PREFILL, PREFILL, DECODE, DECODE)
    busy(view, 0, 90, 500)
    view.replicas[2].decodes[91] = [request(91), 1]
    assert policy(view).route(request(0), view, 0) == Route(1, 3)


def test_the_first_of_equals_is_taken():
    view = cluster(PREFILL, PREFILL, DECODE, DECODE)
    assert policy(view).route(request(0), view, 0) == Route(0, 2)


def test_a_long_prefill_queue_makes_the_least_loaded_decode_replica_mixed():
    view = cluster(PREFILL, DECODE, DECODE)
    routing = policy(view, queue_tokens_max=1000)
    busy(view, 0, 90, 950)
    view.replicas[1].decodes[91] = [request(91), 1]
    assert routing.route(request(0), view, 0) == Route(
        2, 2
    )  # it was the emptiest decode replica, too
    busy(view, 2, 92, 100)
    view.replicas[1].decodes.clear()
    assert routing.route(request(1), view, 0) == Route(
        2, 1
    )  # the mixed pool comes before another decode replica


def test_a_queue_that_nobody_waits_in_is_not_long():
    """One prompt longer than the limit must not make every idle prefill replica useless."""
    view = cluster(PREFILL, DECODE)
    assert policy(view, queue_tokens_max=100).route(request(0, prompt=5000), view, 0) == Route(0, 1)


def test_decode_memory_that_is_full_makes_the_emptiest_prefill_replica_mixed():
    view = cluster(PREFILL, PREFILL, DECODE, tokens_max=1000)
    routing = policy(view)
    view.replicas[2].decodes[90] = [request(90, 900, 50), 1]
    busy(view, 0, 91, 10)
    route = routing.route(request(0), view, 0)
    assert route == Route(1, 1)
    view.replicas[2].decodes.clear()
    assert routing.route(request(1), view, 0) == Route(0, 2)  # replica 1 is of the mixed pool now


def test_with_everything_full_both_phases_share_the_shortest_queue():
    view = cluster(PREFILL, DECODE, tokens_max=100)
    routing = policy(view, queue_tokens_max=50)
    busy(view, 0, 90, 60)
    busy(view, 1, 91, 70)
    for row in range(3):
        route = routing.route(request(row), view, 0)
        assert route is not None
    assert routing.route(request(9), view, 0) == Route(0, 0)


def test_a_mixed_replica_that_is_idle_goes_home():
    view = cluster(PREFILL, DECODE, DECODE)
    routing = policy(view, queue_tokens_max=1000)
    busy(view, 0, 90, 950)
    assert routing.route(request(0), view, 0) == Route(1, 1)
    routing.idle(1, view, S)
    view.replicas[0].prefills.clear()
    view.replicas[2].decodes[91] = [request(91), 1]
    assert routing.route(request(1), view, S) == Route(0, 1)


def test_one_that_was_mixed_for_long_changes_its_home():
    view = cluster(PREFILL, DECODE, DECODE)
    routing = policy(view, queue_tokens_max=1000, repurpose_ns=60 * S)
    busy(view, 0, 90, 950)
    assert routing.route(request(0), view, 0) == Route(1, 1)
    routing.idle(1, view, 60 * S)
    assert routing.route(request(1), view, 60 * S) == Route(1, 2)  # replica 1 prefills now


def test_a_replica_that_leaves_is_in_no_pool():
    view = cluster(PREFILL, PREFILL, DECODE)
    routing = policy(view)
    view.replicas[0].accepting = False
    routing.changed(view, 0)
    assert routing.route(request(0), view, 0) == Route(1, 2)


def test_without_replicas_a_request_is_held():
    view = cluster(PREFILL, DECODE)
    routing = policy(view)
    for replica in view.replicas:
        replica.accepting = False
    routing.changed(view, 0)
    assert routing.route(request(0), view, 0) is None
