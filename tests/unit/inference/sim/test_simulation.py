"""Goal: requests take the time that the models say, in the order that the policies say, and nothing is lost on the way."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.domain.action import (
    MoveRequest,
    ReorderQueue,
    Reshard,
    Route,
    SetBrake,
    SetCap,
    SetClock,
    SquashRequest,
    StartReplica,
    StopReplica,
)
from inference.domain.replica import Role
from inference.errors import PolicyError
from inference.policies.batching.continuous import ContinuousBatching, MixedBatching
from inference.policies.batching.request_level import RequestLevelBatching
from inference.policies.batching.splitwise import SplitwiseBatching
from inference.policies.disaggregation import ByPromptLength
from inference.policies.routing.splitwise import SplitwiseRouting
from inference.policies.routing.token_jsq import TokenJsq
from inference.results.run import Status
from inference.sim.audit import AuditError
from inference.sim.faults import MachineLoss, SlowLink, Straggler
from inference.sim.simulation import Plan, Simulation
from inference.sim.transfers import SharedTransfers
from tests.unit.inference.sim import toy
from tests.unit.inference.sim.toy import MS, run, trace


def ms(column) -> list[float]:
    return [value / MS for value in column.tolist()]


def test_one_request_takes_its_prefill_and_its_decodes():
    requests = run(trace((5, 20, 4))).requests
    assert ms(requests.prefill_start_ns) == [5]
    assert ms(requests.first_token_ns) == [25]
    assert ms(requests.completion_ns) == [55]


def test_a_single_token_needs_no_decode():
    requests = run(trace((0, 20, 1))).requests
    assert requests.completion_ns.tolist() == requests.first_token_ns.tolist()


def test_an_arrival_joins_at_the_next_iteration_boundary():
    """The first decodes from 10 ms on; the second comes at 25 ms, inside the iteration that ends at 30 ms."""
    requests = run(trace((0, 10, 6), (25, 10, 2))).requests
    assert ms(requests.prefill_start_ns) == [0, 30]
    assert ms(requests.first_token_ns) == [10, 50]  # mixed with a decode: 10 + 10 ms
    assert ms(requests.completion_ns) == [70, 60]


def test_decodes_stand_still_while_prompts_have_their_own_iteration():
    requests = run(trace((0, 10, 6), (25, 10, 2)), batching=ContinuousBatching()).requests
    assert ms(requests.first_token_ns) == [10, 40]
    assert ms(requests.completion_ns) == [70, 50]


def test_a_chunked_prompt_never_exceeds_the_tokens_of_an_iteration():
    batching = MixedBatching(tokens_max=8, chunked=True)
    result = run(trace((0, 20, 2)), batching=batching, window_ns=(0, 10**9))
    assert result.iterations is not None
    assert result.iterations.prefill_tokens.tolist() == [8, 8, 4, 0]


def test_a_batch_by_request_lets_nobody_join():
    requests = run(trace((0, 10, 6), (25, 10, 2)), batching=RequestLevelBatching()).requests
    assert ms(requests.completion_ns) == [60, 80]


def test_a_pair_decodes_where_its_cache_arrives():
    """21 bytes of 2 x 10 tokens … at 1 MB/s: 20 us; then three decode iterations elsewhere."""
    replicas = [toy.replica(Role.PREFILL), toy.replica(Role.DECODE)]
    requests = run(trace((0, 10, 4)), replicas, SplitwiseRouting()).requests
    assert requests.prefill_replica.tolist() == [0]
    assert requests.decode_replica.tolist() == [1]
    assert requests.transfer_ns.tolist() == [20_000]
    assert requests.completion_ns.tolist() == [10 * MS + 20_000 + 30 * MS]


def test_energy_is_power_by_time():
    result = run(trace((0, 20, 4)))
    assert result.replicas.energy_j.tolist() == [pytest.approx(0.020 * 500 + 0.030 * 300)]
    assert result.requests.energy_j.tolist() == [pytest.approx(19.0)]


def test_a_series_has_the_energy_of_the_run():
    result = run(trace((0, 20, 4), (30, 7, 9)), series_period_ns=13 * MS)
    assert result.series is not None
    spans_s = np.full(len(result.series.power_w), 0.013)
    spans_s[-1] = result.end_ns / 1e9 - 0.013 * (len(spans_s) - 1)
    assert (result.series.power_w * spans_s).sum() == pytest.approx(result.replicas.energy_j.sum())


def test_a_slower_clock_holds_from_the_next_iteration():
    script = toy.Script([[SetClock(0, 500, delay_ns=15 * MS)]])
    requests = run(trace((0, 10, 4)), controls=[script]).requests
    assert ms(requests.completion_ns) == [10 + 10 + 20 + 20]


def test_a_cap_stands_above_the_clock_and_the_brake_above_both():
    script = toy.Script(
        [[SetCap(0, 500), SetClock(0, 800), SetBrake(0, True)], [SetBrake(0, False)]]
    )
    plan = Plan(
        "toy", 0, trace((0, 1, 40)), [toy.replica()], toy.mechanisms(TokenJsq()), controls=[script]
    )
    simulation = Simulation(plan)
    seen: list[int] = []
    simulation.cluster.events.schedule(
        MS, lambda nothing, sequence: seen.append(simulation.cluster.columns.clock_mhz[0]), None
    )
    simulation.run()
    assert seen == [288]
    assert simulation.cluster.columns.clock_mhz == [500]


def test_a_clock_that_the_gpu_has_not_is_refused():
    with pytest.raises(PolicyError, match="SetClock of replica 0"):
        run(trace((0, 10, 4)), controls=[toy.Script([[SetClock(0, 5000)]])])


def test_a_lost_machine_costs_its_requests_a_new_beginning():
    replicas = [toy.replica(), toy.replica()]
    result = run(trace((0, 20, 4)), replicas, faults=[MachineLoss(0, 30 * MS)])
    assert result.requests.restarts.tolist() == [1]
    assert result.requests.prefill_replica.tolist() == [1]
    assert ms(result.requests.completion_ns) == [30 + 50]


def test_a_machine_lost_and_back_serves_what_waited():
    result = run(trace((0, 20, 4)), faults=[MachineLoss(0, 30 * MS, 40 * MS)])
    assert ms(result.requests.completion_ns) == [70 + 50]


def test_a_straggler_takes_its_factor():
    requests = run(trace((0, 20, 4)), faults=[Straggler(0, 2.0)]).requests
    assert ms(requests.completion_ns) == [100]


def test_a_stopped_replica_finishes_and_draws_no_more():
    replicas = [toy.replica(), toy.replica()]
    script = toy.Script([[], [StopReplica(0)]], period_ns=5 * MS)
    result = run(trace((0, 20, 4), (60, 10, 5), (61, 10, 5)), replicas, controls=[script])
    assert result.requests.prefill_replica.tolist() == [0, 1, 1]
    assert result.replicas.stopped_ns[0] == 50 * MS


def test_a_started_replica_takes_requests_after_its_delay():
    script = toy.Script([[StartReplica(toy.replica(), 40 * MS)]])
    result = run(trace((0, 50, 9), (39, 10, 3), (41, 10, 3)), controls=[script])
    assert result.requests.prefill_replica.tolist() == [0, 0, 1]
    assert result.replicas.started_ns.tolist() == [0, 0]


def test_resharding_carries_decodes_over_with_their_progress():
    """Two replicas of one GPU become one of two; the decode at hand loses the iteration that was cut, no more."""
    replicas = [toy.replica(), toy.replica()]
    script = toy.Script([[Reshard((0, 1), (toy.replica(tp=2),), 35 * MS, 5 * MS)]])
    result = run(trace((0, 10, 6)), replicas, controls=[script])
    assert result.requests.restarts.tolist() == [0]
    assert result.requests.decode_replica.tolist() == [2]
    assert ms(result.requests.completion_ns) == [35 + 5 + 30]
    assert result.replicas.stopped_ns[:2].tolist() == [35 * MS, 35 * MS]


def test_queue_actions_touch_only_requests_that_have_not_begun():
    replicas = [toy.replica(), toy.replica()]
    rows = ((0, 100, 2), (1, 100, 2), (5, 1000, 2), (6, 10, 2), (7, 990, 2), (8, 10, 2))
    actions = [
        [],
        [
            ReorderQueue(0, (4,)),
            MoveRequest(0, 0, 1),  # begun: stays
            SquashRequest(2, 0),
        ],
    ]
    result = run(trace(*rows), replicas, controls=[toy.Script(actions, period_ns=20 * MS)])
    assert result.requests.status.tolist()[2] == Status.SQUASHED
    assert result.requests.prefill_replica.tolist()[0] == 0


class Stray:
    """Routes to a replica that takes no requests: wrong on purpose."""

    retry_ns = 0

    def route(self, request, view, now_ns):
        return Route(1, 1)

    def idle(self, replica, view, now_ns): ...

    def changed(self, view, now_ns): ...


class Hoarder(Stray):
    """Holds every third request for ever: wrong on purpose."""

    def route(self, request, view, now_ns):
        return None if request.request_id % 3 == 2 else Route(0, 0)


def test_a_policy_that_chooses_a_closed_replica_is_caught():
    script = toy.Script([[StopReplica(1)]])
    with pytest.raises(PolicyError, match="replica 1 was chosen, but takes no requests"):
        run(trace((1, 10, 2)), [toy.replica(), toy.replica()], Stray(), controls=[script])


def test_a_policy_that_forgets_requests_is_caught():
    with pytest.raises(AuditError, match="never finished"):
        run(trace((0, 10, 2), (1, 10, 2), (2, 10, 2)), routing=Hoarder())


def test_a_request_that_fits_nowhere_is_an_error_and_not_a_wait():
    with pytest.raises(PolicyError, match="can never fit"):
        run(trace((0, 4400, 300)))


ROWS = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 400), st.integers(1, 60)), min_size=1, max_size=40
)
BATCHINGS = st.sampled_from(
    [
        SplitwiseBatching(),
        SplitwiseBatching(requests_max=3, tokens_max=64, preemptions_max=2),
        ContinuousBatching(requests_max=4, tokens_max=256),
        MixedBatching(tokens_max=64),
        MixedBatching(tokens_max=32, chunked=True),
        RequestLevelBatching(requests_max=4),
    ]
)
FAULTS = st.lists(
    st.one_of(
        st.builds(
            MachineLoss, st.integers(0, 3), st.integers(0, 800 * MS), st.integers(1, 300 * MS)
        ),
        st.builds(
            Straggler, st.integers(0, 3), st.sampled_from([0.5, 3.0]), st.integers(0, 500 * MS)
        ),
        st.builds(
            SlowLink, st.integers(0, 3), st.sampled_from([2.0, 50.0]), st.integers(0, 500 * MS)
        ),
    ),
    max_size=4,
)
ACTIONS = st.lists(
    st.one_of(
        st.just([]),
        st.builds(lambda one, mhz: [SetClock(one, mhz)], st.integers(0, 3), st.integers(200, 1000)),
        st.builds(lambda one, mhz: [SetCap(one, mhz)], st.integers(0, 3), st.integers(200, 1000)),
        st.builds(lambda one, on: [SetBrake(one, on)], st.integers(0, 3), st.booleans()),
        st.just([StartReplica(toy.replica(), 30 * MS)]),
        st.builds(
            lambda row, a, b: [MoveRequest(row, a, b)],
            st.integers(0, 39),
            st.integers(0, 1),
            st.just(0),
        ),
        st.builds(lambda row, a: [SquashRequest(row, a)], st.integers(0, 39), st.integers(0, 3)),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(ROWS, BATCHINGS, st.booleans(), st.booleans(), FAULTS, ACTIONS)
def test_whatever_happens_nothing_is_lost(rows, batching, paired, shared, faults, actions):
    """`Simulation.run` audits itself: tokens, memory, energy and times add up, and every request ends."""
    rows.sort()
    replicas = [
        toy.replica(Role.PREFILL),
        toy.replica(Role.PREFILL),
        toy.replica(Role.DECODE),
        toy.replica(Role.DECODE),
    ]
    routing = SplitwiseRouting(queue_tokens_max=600) if paired else TokenJsq()
    made = toy.mechanisms(routing, batching)
    if shared:
        made = replace(
            made,
            transfers=lambda events, replicas: SharedTransfers(
                events, replicas, ByPromptLength(100)
            ),
        )
    if faults:  # a policy that moves a request to a machine that is down is wrong, and refused
        actions = [
            step for step in actions if not any(isinstance(one, MoveRequest) for one in step)
        ]
    plan = Plan(
        "toy", 0, trace(*rows), replicas, made,
        controls=[toy.Script(actions, period_ns=40 * MS)], faults=faults, series_period_ns=25 * MS,
    )  # fmt: skip
    result = Simulation(plan).run()
    assert set(result.requests.status.tolist()) <= {Status.COMPLETED, Status.SQUASHED}


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_equal_plans_have_equal_results(rows):
    rows.sort()
    first, second = (run(trace(*rows), [toy.replica(), toy.replica()]) for _ in range(2))
    assert first.requests.completion_ns.tolist() == second.requests.completion_ns.tolist()
