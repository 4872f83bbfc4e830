"""Goal: every registered routing policy keeps the protocol's promises, and policies that break them are caught."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from inference.domain.action import Refuse, Route
from inference.domain.replica import Role
from inference.policies.registry import ROUTING, routing_policy
from tests.unit.inference.routing.canary import Canary
from tests.unit.inference.routing.conformance import (
    HISTORIES,
    TOKENS_MAX,
    Driver,
    Step,
    Violation,
    fleet,
    play,
    starvation,
)
from tests.unit.inference.routing.toy import ToyCluster, ToyReplica

VARIANTS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in ROUTING.names] + [
    ("decode_balancer", {"placement": "least_work_left"}),
    ("decode_balancer", {"placement": "bin_packing"}),
    ("mixing_impact", {"score_min": 0.9}),
    ("small_large", {"heavy_share": 1.0}),
    ("max_capacity", {"interval_s": 0.0}),
]
QUICK = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
# The first history that shows the fault will do: shrinking it takes most of the time.
SEARCH = settings(
    max_examples=2000, deadline=None, phases=[Phase.generate], derandomize=True, database=None
)

every_policy = pytest.mark.parametrize(
    ("name", "parameters"),
    VARIANTS,
    ids=[f"{name}{list(p.values()) or ''}" for name, p in VARIANTS],
)


@every_policy
@given(steps=HISTORIES)
@QUICK
def test_promises_hold_in_any_history(name, parameters, steps):
    play(routing_policy(name, parameters, seed=1), fleet(), steps)


@every_policy
@given(steps=HISTORIES)
@settings(QUICK, max_examples=4)
def test_equal_histories_have_equal_decisions(name, parameters, steps):
    one = play(routing_policy(name, parameters, seed=1), fleet(), steps)
    other = play(routing_policy(name, parameters, seed=1), fleet(), steps)
    assert one.decisions == other.decisions


@every_policy
def test_no_replica_is_starved(name, parameters):
    assert starvation(routing_policy(name, parameters, seed=1)) == set()


@every_policy
def test_all_down_holds_and_serves_once_one_is_back(name, parameters):
    cluster = ToyCluster([ToyReplica(TOKENS_MAX), ToyReplica(TOKENS_MAX)])
    driver = Driver(routing_policy(name, parameters, seed=1), cluster)
    for index in (0, 1):
        driver.step(Step("lose", index))
    driver.step(Step("arrive", prompt=5, output=5))
    assert driver.decisions == [(0, None)]
    driver.step(Step("return", 1))
    assert driver.decisions[-1] == (0, Route(1, 1))


@every_policy
def test_too_large_is_refused_with_the_limit(name, parameters):
    driver = Driver(routing_policy(name, parameters, seed=1), ToyCluster(fleet()))
    driver.step(Step("arrive", prompt=TOKENS_MAX, output=1))
    answer = driver.decisions[0][1]
    assert isinstance(answer, Refuse)
    assert f"expected at most {TOKENS_MAX} in all" in answer.reason


@every_policy
def test_a_cluster_that_never_had_the_model_holds(name, parameters):
    driver = Driver(routing_policy(name, parameters, seed=1), ToyCluster([ToyReplica(TOKENS_MAX)]))
    driver.step(Step("arrive", model=1))
    assert driver.decisions == [(0, None)]


@pytest.mark.parametrize("habit", ["deaf", "leaker", "shedder", "mixer", "writer", "greedy"])
def test_canary_is_caught(habit):
    """There must be a history in which the harness objects; hypothesis has to find one."""

    def objects(steps):
        try:
            play(Canary(habit), fleet(), steps)
        except Violation:
            return True
        return False

    assert find(HISTORIES, objects, settings=SEARCH)


def test_starving_canary_is_caught():
    assert starvation(Canary("starver")) == {1, 2, 3}


def test_moody_canary_is_caught():
    """Decisions that depend on where an object lies in memory differ between objects that live at once."""
    policies = [Canary("moody") for _ in range(64)]
    steps = [Step("arrive") for _ in range(4)]
    assert len({tuple(play(policy, fleet(), steps).decisions) for policy in policies}) > 1


def test_a_sane_canary_passes():
    """The harness objects to the habits, not to the canary."""
    steps = [
        Step("arrive", prompt=50, output=5),
        Step("lose", 0),
        Step("arrive", prompt=9000, output=1),
        Step("add", 2),
        Step("arrive", model=1),
    ]
    play(Canary("none"), fleet(), steps)
    assert starvation(Canary("none")) == set()


@pytest.mark.parametrize("name", [name for name in ROUTING.names if name.endswith("_pairs")])
@given(steps=HISTORIES)
@QUICK
def test_pairs_keep_to_their_pools(name, steps):
    driver = play(routing_policy(name), fleet((3, 2, 0)), steps)
    for request_id, answer in driver.decisions:
        if isinstance(answer, Route) and driver.requests[request_id].model == 0:
            assert driver.cluster.replicas[answer.prefill].role != Role.DECODE
            assert driver.cluster.replicas[answer.decode].role != Role.PREFILL
