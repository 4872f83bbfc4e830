"""Goal: every routing policy carries real requests through the simulator, through the loss of a machine too.

The simulator's own audit checks that no request and no byte of KV memory is lost.
"""

import pytest

from inference.domain.replica import Role
from inference.policies.registry import ROUTING, routing_policy
from inference.results.run import Status
from inference.sim.faults import MachineLoss
from inference.traces.azure import azure_2023
from inference.traces.selection import first
from inference.traces.services import service_mix
from tests.unit.inference.routing.v100 import HH, HL, LH, LL, replicas, simulate

SPLIT = (Role.PREFILL, Role.PREFILL, Role.DECODE, Role.DECODE)
S_NS = 10**9


@pytest.mark.parametrize("name", ROUTING.names)
def test_all_requests_complete_though_a_machine_is_lost(name):
    trace = first(azure_2023("code"), 60)
    loss = MachineLoss(0, 5 * S_NS, 12 * S_NS)
    run = simulate(trace, routing_policy(name, seed=3), replicas(*SPLIT), (loss,))
    assert run.requests.status.tolist() == [Status.COMPLETED] * 60
    if name.endswith("_pairs") or name == "splitwise":
        assert (run.requests.prefill_replica != run.requests.decode_replica).any()


def makespan_s(name):
    trace = service_mix((LL, LH, HL, HH), 4, 200, 1, "router")
    run = simulate(trace, routing_policy(name), replicas(Role.MIXED, Role.MIXED))
    return run.end_ns / S_NS


def test_dedicated_replicas_lose_against_taking_turns():
    """RT6, all kinds at random on two instances: dedicated small-large is slowest, the decode balancer no better than turns.

    The paper: 648.7, 572.2 and 573.2 s. Its LH+HL case is not asked for: without its lengths, chance decides how the two
    sides' work compares.
    """
    dedicated, in_turn, balanced = map(
        makespan_s, ("small_large", "round_robin", "decode_balancer")
    )
    assert dedicated > 1.1 * in_turn
    assert balanced == pytest.approx(in_turn, rel=0.05)


def test_small_requests_wait_less_where_load_is_looked_at():
    """Knowing the queues beats a coin at moderate load: mean E2E of JSQ, tokens left and min-min below random's."""
    trace = service_mix((LL, LH, HL, HH), 1.2, 300, 2, "router")

    def mean_s(name):
        run = simulate(trace, routing_policy(name, seed=1), replicas(*[Role.MIXED] * 4))
        return float((run.requests.completion_ns - run.requests.arrival_ns).mean()) / S_NS

    chance = mean_s("random")
    for name in ("jsq", "tokens_left", "min_min", "mixing_impact", "round_robin"):
        assert mean_s(name) < chance
