"""What an adversarial review of the simulator found: each test failed once."""

from dataclasses import dataclass, field, replace

import pytest

from inference.domain.action import (
    Reshard,
    Route,
    SetBrake,
    SetCap,
    SetClock,
    SquashRequest,
    StopReplica,
)
from inference.domain.replica import Role
from inference.errors import PolicyError
from inference.models.catalog import GPUS, MODELS
from inference.models.context_latency import ContextLatency
from inference.models.latency import latency_model
from inference.policies.batching.continuous import MixedBatching
from inference.policies.batching.request_level import RequestLevelBatching
from inference.policies.batching.splitwise import SplitwiseBatching
from inference.scenarios.build import plan_of, simulate
from inference.scenarios.loader import load
from inference.sim.audit import AuditError
from inference.sim.faults import MachineLoss, SlowLink, Straggler
from tests.unit.inference.sim import toy
from tests.unit.inference.sim.toy import MS, run, simulation, trace

PAIR = (toy.replica(Role.PREFILL), toy.replica(Role.DECODE))


@dataclass(slots=True)
class Fixed:
    """Routes by a list, the last entry for ever."""

    routes: list[Route]
    retry_ns: int = 0
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def route(self, request, view, now_ns):
        self.seen.append(tuple(view.kv_committed_bytes))
        return self.routes.pop(0) if len(self.routes) > 1 else self.routes[0]

    def idle(self, replica, view, now_ns): ...

    def changed(self, view, now_ns): ...


# --- failures and what routed requests hold -------------------------------------------------------


def test_a_single_token_outlives_the_decode_replica_that_it_was_promised_to():
    """Its prefill ends after the other machine failed: nothing is given back there twice."""
    result = run(trace((0, 20, 1)), PAIR, Fixed([Route(0, 1)]), faults=[MachineLoss(1, 5 * MS)])
    assert result.requests.restarts.tolist() == [0]


def test_a_request_that_begins_anew_forgets_its_transfer():
    """First a pair, then, with the decode machine gone, one replica: no transfer is seen."""
    routes = Fixed([Route(0, 1), Route(0, 0)])
    requests = run(trace((0, 10, 50)), PAIR, routes, faults=[MachineLoss(1, 100 * MS)]).requests
    assert requests.restarts.tolist() == [1]
    assert requests.transfer_ns.tolist() == [0]


def test_a_stopped_replica_does_not_come_back_from_a_failure():
    replicas = [toy.replica(), toy.replica()]
    script = toy.Script([[StopReplica(0)]])
    faults = [MachineLoss(0, 20 * MS, 20 * MS)]
    result = run(trace((10, 5, 2), (60, 5, 2)), replicas, controls=[script], faults=faults)
    assert result.requests.prefill_replica.tolist() == [1, 1]


def test_a_draining_replica_that_fails_gives_its_gpus_back():
    replicas = [toy.replica(), toy.replica()]
    script = toy.Script([[], [StopReplica(0)]], period_ns=10 * MS)
    faults = [MachineLoss(0, 20 * MS, 500 * MS)]
    result = run(trace((0, 5, 30)), replicas, controls=[script], faults=faults)
    assert result.replicas.stopped_ns[0] == 20 * MS


def test_two_losses_of_one_machine_overlap():
    """It is back when both are over."""
    faults = [MachineLoss(0, 10 * MS, 30 * MS), MachineLoss(0, 20 * MS, 100 * MS)]
    requests = run(trace((30, 10, 2)), faults=faults).requests
    assert requests.prefill_start_ns.tolist() == [120 * MS]


# --- draining -------------------------------------------------------------------------------------


def test_a_stopped_source_keeps_its_gpus_until_its_cache_has_left():
    """The prefill ends at 100 ms; its cache takes until 100.2 ms."""
    script = toy.Script([[], [StopReplica(0)]], period_ns=20 * MS)
    result = run(trace((0, 100, 4)), PAIR, Fixed([Route(0, 1)]), controls=[script])
    assert result.replicas.stopped_ns[0] == 100 * MS + 200_000
    assert result.requests.restarts.tolist() == [0]


def test_a_stopped_target_retires_though_its_last_request_ends_elsewhere():
    script = toy.Script([[], [StopReplica(1)]], period_ns=5 * MS)
    result = run(trace((0, 20, 1), (30, 5, 1)), PAIR, Fixed([Route(0, 1), Route(0, 0)]),
                 controls=[script])  # fmt: skip
    assert result.replicas.stopped_ns[1] == 20 * MS


# --- sharding -------------------------------------------------------------------------------------


def test_resharding_keeps_cap_and_brake_of_the_gpus():
    replicas = [toy.replica(), toy.replica()]
    actions = [[SetCap(0, 400), Reshard((0, 1), (toy.replica(tp=2),), 35 * MS)]]
    made = simulation(trace((0, 10, 20)), replicas, controls=[toy.Script(actions)])
    made.run()
    assert made.cluster.columns.clock_mhz[2] == 400


def test_an_action_on_a_retired_replica_takes_no_effect_and_is_not_counted():
    replicas = [toy.replica(), toy.replica()]
    actions = [[StopReplica(0)], [SetBrake(0, True)]]
    made = simulation(trace((10, 10, 20)), replicas, controls=[toy.Script(actions, 20 * MS)])
    result = made.run()
    assert "actions_SetBrake" not in result.facts


def test_gpus_are_not_sharded_for_another_model_while_they_hold_requests():
    other = replace(toy.replica(tp=2), model_id=1)
    script = toy.Script([[Reshard((0, 1), (other,), 35 * MS)]])
    with pytest.raises(PolicyError, match="model"):
        run(trace((0, 10, 20)), [toy.replica(), toy.replica()], controls=[script])


# --- accounting -----------------------------------------------------------------------------------


def test_a_halted_run_counts_the_iterations_that_it_made():
    """Two and a half of 99 decode iterations, then a prefill and 99 anew elsewhere."""
    replicas = [toy.replica(), toy.replica()]
    result = run(trace((0, 20, 100)), replicas, faults=[MachineLoss(0, 45 * MS)])
    assert result.replicas.iterations.tolist() == [1 + 3, 1 + 99]


def test_a_run_that_is_cut_lasts_until_the_cut():
    """Nothing happens between the begin of the decodes and the end that was set."""
    result = run(trace((0, 20, 100)), end_ns=500 * MS)
    assert result.end_ns == 500 * MS
    assert result.replicas.energy_j.tolist() == [pytest.approx(0.02 * 500 + 0.48 * 300)]
    assert result.replicas.iterations.tolist() == [1 + 48]


def test_a_run_that_ends_before_its_cut_lasts_no_longer():
    assert run(trace((0, 20, 2)), end_ns=500 * MS).end_ns == 30 * MS


def test_the_last_row_of_a_series_tells_of_the_end():
    result = run(trace((0, 20, 4)), series_period_ns=40 * MS)
    assert result.series is not None
    assert result.series.running.tolist() == [1, 0]
    short = run(trace((0, 20, 4)), series_period_ns=1000 * MS)
    assert short.series is not None
    assert short.series.pool_gpus.tolist() == [[1]]


def test_the_energy_column_is_booked_up_to_the_moment():
    made = simulation(trace((0, 20, 100)))
    seen: list[float] = []
    made.cluster.events.schedule(
        520 * MS, lambda nothing, sequence: seen.append(made.cluster.columns.energy_j[0]), None
    )
    made.run()
    assert seen == [pytest.approx(0.02 * 500 + 0.5 * 300)]


def test_a_straggler_slows_the_run_at_hand():
    """One of 20 iterations is over and the second runs when the machine slows down."""
    requests = run(trace((0, 20, 21)), faults=[Straggler(0, 2.0, 35 * MS)]).requests
    assert requests.completion_ns.tolist() == [(40 + 18 * 20) * MS]


# --- the router -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Opening:
    """Holds everything until a time, and looks again every 10 ms."""

    opens_ns: int = 50 * MS
    retry_ns: int = 10 * MS

    def route(self, request, view, now_ns):
        return Route(0, 0) if now_ns >= self.opens_ns else None

    def idle(self, replica, view, now_ns): ...

    def changed(self, view, now_ns): ...


def test_arrivals_do_not_put_off_the_next_offer():
    """One every 5 ms: the retry of the first comes nevertheless."""
    rows = [(at, 1, 1) for at in range(0, 200, 5)]
    requests = run(trace(*rows), routing=Opening()).requests
    assert requests.prefill_start_ns[0] == 50 * MS


class Doubled:
    """Predicts twice the output."""

    def predict(self, request_id, prompt_tokens, output_tokens):
        return 2 * output_tokens


def test_policies_see_memory_promised_for_the_output_that_was_predicted():
    routing = Fixed([Route(0, 0)])
    run(trace((0, 10, 10), (1, 10, 10)), routing=routing, mechanisms={"predictor": Doubled()})
    assert routing.seen == [(1_000,), (1_000 + 2 * 10 + 2 * 20,)]


# --- memory ---------------------------------------------------------------------------------------


def test_a_prompt_that_its_prefill_replica_can_never_hold_is_an_error_and_not_a_wait():
    """4,800 tokens of two bytes fit the two GPUs of the target, not the one of the source."""
    replicas = [toy.replica(Role.PREFILL), toy.replica(Role.DECODE, tp=2)]
    with pytest.raises(PolicyError, match="can never fit replica 0"):
        run(trace((0, 4_800, 3)), replicas, Fixed([Route(0, 1)]))


class Never:
    """Holds everything for ever: wrong on purpose."""

    retry_ns = 0

    def route(self, request, view, now_ns):
        return None

    def idle(self, replica, view, now_ns): ...

    def changed(self, view, now_ns): ...


def test_periodic_events_do_not_keep_a_stuck_run_going_for_ever():
    with pytest.raises((AuditError, PolicyError), match="held"):
        run(
            trace((0, 10, 2)),
            routing=Never(),
            series_period_ns=60_000 * MS,
            controls=[toy.Script([], period_ns=60_000 * MS)],
        )


def test_a_squashed_request_lets_its_draining_replica_go():
    replicas = [toy.replica(), toy.replica()]
    actions = [[], [StopReplica(0), SquashRequest(0, 0)]]
    routing = Fixed([Route(0, 0), Route(1, 1)])
    made = simulation(trace((0, 10, 2), (3, 10, 9)), replicas, routing,
                      controls=[toy.Script(actions, 5 * MS)])  # fmt: skip
    made.cluster.replicas[0].halt(0)
    assert made.run().replicas.stopped_ns[0] == 5 * MS


# --- batches --------------------------------------------------------------------------------------


def test_nobody_joins_a_batch_by_request_not_even_with_a_cache_from_elsewhere():
    """The third's cache comes at 35.07 ms; the first two decode from 20 to 40 and to 70 ms."""
    routing = Fixed([Route(1, 1), Route(1, 1), Route(0, 1)])
    rows = ((0, 10, 3), (0, 10, 6), (0, 35, 2))
    replicas = [toy.replica(), toy.replica()]
    made = simulation(trace(*rows), replicas, routing, RequestLevelBatching())
    made.cluster.replicas[1].halt(0)  # so that the first two go together
    made.cluster.events.schedule(
        MS, lambda nothing, sequence: made.cluster.replicas[1].resume(MS), None
    )
    requests = made.run().requests
    assert requests.decode_start_ns.tolist() == [21 * MS, 21 * MS, 71 * MS]


@pytest.mark.parametrize(
    "batching", [SplitwiseBatching(tokens_max=32), MixedBatching(tokens_max=16, chunked=True)]
)
def test_context_sums_are_those_of_the_batch(batching):
    """Whatever joined, paused, moved or was cut: the sum is what its parts say."""
    made = simulation(
        trace(*[(7 * one, 5 + one * 3 % 40, 1 + one * 7 % 50) for one in range(60)]),
        batching=batching,
    )
    queue = made.cluster.replicas[0].queue
    wrong: list[int] = []

    def look(nothing, sequence):
        parts = sum(
            one.context_tokens + one.left - (one.finish_at - queue.decoded)
            for one in queue.decoding
        )
        if parts != queue.context_tokens:
            wrong.append(made.cluster.events.now_ns)
        if made.cluster.jobs:
            made.cluster.events.schedule(made.cluster.events.now_ns + 3 * MS, look, None)

    made.cluster.events.schedule(MS, look, None)
    made.run()
    assert not wrong
    assert queue.context_tokens == 0


def test_a_cap_that_lands_after_resharding_holds_for_the_same_gpus():
    replicas = [toy.replica(), toy.replica()]
    actions = [[SetCap(1, 400, 60 * MS), Reshard((0, 1), (toy.replica(tp=2),), 35 * MS)]]
    made = simulation(trace((0, 10, 20)), replicas, controls=[toy.Script(actions)])
    result = made.run()
    assert made.cluster.columns.clock_mhz[2] == 400
    assert result.facts["actions_SetCap"] == "1"


def test_a_policy_does_not_raise_the_clock_above_its_power_cap():
    capped = replace(toy.replica(), clock_mhz=500, power_cap_w=200.0)
    made = simulation(trace((0, 10, 9)), [capped], controls=[toy.Script([[SetClock(0, 1000)]])])
    made.run()
    assert made.cluster.columns.clock_mhz == [500]


def test_a_control_policy_without_a_period_is_refused():
    with pytest.raises(PolicyError, match="period"):
        run(trace((0, 10, 9)), controls=[toy.Script([], period_ns=0)])


def test_requests_that_came_after_the_cut_are_told_apart():
    warnings = run(trace((0, 20, 100), (600, 5, 5)), end_ns=500 * MS).warnings
    assert warnings == (
        "2 requests were not finished when the run ended, 1 of which had not arrived; "
        "latencies leave them out",
    )


def test_a_run_that_grows_beyond_what_was_measured_is_counted():
    model = latency_model(MODELS["llama2-70b"], GPUS["h100-80gb"], 8, "context")
    assert isinstance(model, ContextLatency)
    longest = model.profile.context_max
    model.decode_ns(1, longest - 10, 11)
    assert model.coverage.extrapolated == 0
    model.decode_ns(1, longest - 10, 12)
    assert model.coverage.extrapolated == 1


def test_results_say_where_the_load_is_not_the_trace():
    changes = ["trace.duration_s=5", "trace.sample=0.5", "limits.requests_max=9"]
    warnings = simulate(load("quickstart", changes)).warnings
    assert "the load is a sample: 0.5 of the trace's requests" in warnings
    assert "at most 9 requests of the trace were taken" in warnings


def test_results_say_where_the_links_of_the_published_simulator_come_from():
    plan = plan_of(load("quickstart", ["transfer.mode='compat'", "limits.requests_max=9"]))
    assert "200 GiB/s" in plan.provenance["KV transfer"].note


@dataclass(frozen=True, slots=True)
class Heard(toy.ToyLatency):
    """Notes what it is asked of prefills."""

    asked: list[tuple[int, int]] = field(default_factory=list)

    def prefill_ns(self, tokens, context_tokens):
        self.asked.append((tokens, context_tokens))
        return toy.ToyLatency.prefill_ns(self, tokens, context_tokens)

    def at_clock(self, clock_mhz):
        return self


def test_a_chunk_attends_to_its_own_prompt_alone():
    """The last 4 of 20 tokens attend to 16, beside 4 of another prompt that attend to none: 8 tokens to 8."""
    latency = Heard()
    batching = MixedBatching(tokens_max=8, chunked=True)
    rows = trace((0, 20, 1), (1, 4, 1))
    run(rows, batching=batching, mechanisms={"latency": lambda spec: latency})
    assert latency.asked == [(8, 0), (8, 8), (8, 8)]


def test_a_cache_on_its_way_is_lost_with_its_machine_at_once():
    """The link of the pair takes 2 s for what took 20 us; the machine is lost after 100 ms."""
    faults = [SlowLink(1, 100_000.0), MachineLoss(1, 100 * MS)]
    routing = Fixed([Route(0, 1), Route(0, 0)])
    requests = run(trace((0, 10, 5)), PAIR, routing, faults=faults).requests
    assert requests.restarts.tolist() == [1]
    assert requests.completion_ns.tolist() == [(100 + 10 + 40) * MS]
