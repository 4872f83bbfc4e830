from functools import cache

from inference.domain.action import Route
from inference.domain.request import Request
from inference.policies.dynamo.classes import TABLE_IV
from inference.policies.dynamo.loads import LoadBook
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.routing import DynamoFrontend
from inference.policies.dynamo.survey import survey
from tests.unit.inference.dynamo.fake_hardware import BENCH, workloads
from tests.unit.inference.dynamo.fake_view import FakeView

SS, SM, MM, LL = 0, 1, 4, 8


@cache
def profile() -> EnergyProfile:
    return survey(workloads(), BENCH, clocks_mhz=(1200, 1980))


def _frontend(view: FakeView, packs: bool = True, spills: bool = True) -> DynamoFrontend:
    frontend = DynamoFrontend(TABLE_IV, profile(), LoadBook(9), packs, spills)
    frontend.changed(view, 0)
    return frontend


def _request(request_id: int = 0, prompt: int = 100, output: int = 50) -> Request:
    return Request(request_id, 0, prompt, output)


def test_a_request_goes_to_the_pool_of_its_class():
    view = FakeView()
    for pool in range(9):
        view.add(pool, 8)
    frontend = _frontend(view)
    assert frontend.route(_request(1), view, 0) == Route(SS, SS)
    assert frontend.route(_request(2, 500, 200), view, 0) == Route(MM, MM)
    told = _request(3)._replace(class_id=LL)
    assert frontend.route(told, view, 0) == Route(LL, LL)


def test_packing_fills_the_busy_replica_and_balancing_the_idle_one():
    view = FakeView()
    view.add(SS, 8)
    view.add(SS, 8)
    view.running_requests[1] = 3
    view.pending_tokens[1] = 3
    assert _frontend(view).route(_request(), view, 0) == Route(1, 1)
    assert _frontend(view, packs=False).route(_request(), view, 0) == Route(0, 0)


def test_a_full_pool_spills_to_one_that_dominates_it():
    view = FakeView()
    view.add(SS, 2)
    view.add(MM, 8)
    view.running_requests[0] = 1_000
    view.pending_tokens[0] = 1_000
    assert _frontend(view).route(_request(), view, 0) == Route(1, 1)
    assert _frontend(view, spills=False).route(_request(), view, 0) == Route(0, 0)


def test_a_smaller_pool_is_no_refuge_while_a_larger_one_lives():
    view = FakeView()
    view.add(SS, 8)
    view.add(LL, 8)
    view.running_requests[1] = 100_000
    view.pending_tokens[1] = 100_000
    large = _request(0, 2_000, 500)
    assert _frontend(view).route(large, view, 0) == Route(1, 1)
    view.accepting[1] = False
    assert _frontend(view).route(large, view, 0) == Route(0, 0)


def test_a_long_queue_of_prompts_is_avoided():
    view = FakeView()
    view.add(SS, 8)
    view.add(SS, 8)
    view.waiting_requests[0] = 1
    view.pending_tokens[0] = 100_000
    assert _frontend(view).route(_request(), view, 0) == Route(1, 1)


def test_load_beyond_a_replicas_profile_goes_elsewhere():
    view = FakeView()
    view.add(SS, 2)
    view.add(SS, 2)
    frontend = _frontend(view)
    seen = [frontend.route(_request(k), view, k * 10**8) for k in range(60)]
    assert {route.prefill for route in seen if isinstance(route, Route)} == {0, 1}


def test_without_replicas_a_request_is_held_and_counted_once():
    view = FakeView()
    frontend = _frontend(view)
    assert frontend.route(_request(5), view, 0) is None
    assert frontend.route(_request(5), view, 10**8) is None
    view.add(SS, 8)
    frontend.changed(view, 2 * 10**8)
    assert frontend.route(_request(5), view, 2 * 10**8) == Route(0, 0)
    assert frontend.loads.take_arrivals(10**9) == [1.0] + [0.0] * 8
    assert frontend.retry_ns > 0


def test_a_capped_replica_is_judged_by_the_clock_below_its_cap():
    view = FakeView()
    view.add(SS, 8, clock_mhz=1275)
    frontend = _frontend(view)
    assert frontend._known_clock(1275) == 1200
    assert frontend._known_clock(300) == 1200
    assert frontend.route(_request(), view, 0) == Route(0, 0)
    frontend.idle(0, view, 0)
