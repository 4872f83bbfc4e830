"""Goal: however short KV memory is, every request ends, and results say what it took."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.domain.action import (
    Route,
)
from inference.policies.batching.continuous import ContinuousBatching, MixedBatching
from inference.policies.batching.request_level import RequestLevelBatching
from inference.policies.batching.splitwise import SplitwiseBatching
from inference.policies.disaggregation import ByPromptLength
from inference.policies.routing.token_jsq import TokenJsq
from inference.results.run import Status
from inference.sim.faults import MachineLoss
from inference.sim.transfers import SharedTransfers
from tests.unit.inference.sim import toy
from tests.unit.inference.sim.toy import MS, run, trace


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


def test_prompts_that_fill_the_memory_do_not_stop_their_decodes_for_ever():
    """44 caches of 202 bytes fill 9,000 bytes; no output of 1,998 bytes finds room beside them."""
    rows = [(0, 100, 1000)] * 60
    result = run(trace(*rows))
    assert set(result.requests.status.tolist()) == {Status.COMPLETED}
    assert result.requests.restarts.sum() > 0
    assert any("KV memory" in warning for warning in result.warnings)


def test_two_replicas_that_send_each_other_caches_do_not_wait_for_ever():
    """Each is full of caches for the other. A series keeps events coming, so this did not even end."""
    replicas = [toy.replica(), toy.replica()]
    rows = [(0, 1_000, 40)] * 16
    routing = Fixed([Route(0, 1), Route(1, 0)] * 8)
    result = run(trace(*rows), replicas, routing, series_period_ns=1_000 * MS)
    assert set(result.requests.status.tolist()) == {Status.COMPLETED}


def test_moved_caches_that_fill_a_target_do_not_stop_their_decodes_for_ever():
    """Two caches are under way at once; neither finds room for its output beside the other."""
    replicas = [toy.replica(), toy.replica(), toy.replica()]
    routing = Fixed([Route(0, 2), Route(1, 2)])
    result = run(trace((0, 2_000, 1_500), (0, 2_000, 1_500)), replicas, routing)
    assert set(result.requests.status.tolist()) == {Status.COMPLETED}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.integers(1, 1_500), st.integers(1, 1_200)),
        min_size=1,
        max_size=25,
    ),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=25),
    st.sampled_from(
        [
            SplitwiseBatching(),
            SplitwiseBatching(requests_max=3, tokens_max=64, preemptions_max=2),
            SplitwiseBatching(reserve_outputs=True),
            ContinuousBatching(requests_max=4, tokens_max=256),
            MixedBatching(tokens_max=32, chunked=True),
            RequestLevelBatching(requests_max=4),
        ]
    ),
    st.booleans(),
)
def test_however_short_memory_is_every_request_ends(rows, pairs, batching, shared):
    rows.sort()
    mechanisms = {}
    if shared:
        mechanisms["transfers"] = lambda events, replicas: SharedTransfers(
            events, replicas, ByPromptLength(100)
        )
    result = run(
        trace(*rows),
        [toy.replica(), toy.replica(), toy.replica()],
        Fixed([Route(*pair) for pair in pairs]),
        batching,
        series_period_ns=1_000 * MS,
        mechanisms=mechanisms,
    )
    assert set(result.requests.status.tolist()) == {Status.COMPLETED}


@pytest.mark.parametrize("seed", [1, 21, 156, 231])
def test_an_older_prompt_without_room_does_not_stop_a_decode_that_has_it(seed):
    """Drawn overloads in which nothing ran any more, though a decode would have fitted."""
    draw = random.Random(seed)
    rows = sorted(
        (
            draw.randint(0, 300),
            draw.randint(1, draw.choice([300, 1500, 3000])),
            draw.randint(1, 1200),
        )
        for _ in range(draw.randint(5, 60))
    )
    pairs = [Route(draw.randint(0, 2), draw.randint(0, 2)) for _ in range(25)]
    faults = [MachineLoss(0, 4_262 * MS, 2_836 * MS)] if seed == 156 else []
    routing = TokenJsq() if faults else Fixed(pairs)
    result = run(trace(*rows), [toy.replica()] * 3, routing, faults=faults)
    assert set(result.requests.status.tolist()) == {Status.COMPLETED}


def test_reserved_outputs_leave_nothing_to_rescue():
    """The same 60 requests: each prompt begins only beside room for its output, and none is prefilled twice."""
    rows = [(0, 100, 1000)] * 60
    result = run(trace(*rows), batching=SplitwiseBatching(reserve_outputs=True))
    assert result.requests.restarts.sum() == 0
    assert result.warnings == ()
    assert result.end_ns < run(trace(*rows)).end_ns
