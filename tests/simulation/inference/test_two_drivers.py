"""Goal: a policy decides the same for a gateway as for the simulator, because it knows the same (decision 9).

The second driver here is a gateway as it will be: it has no replicas to look into, only what it sends and what it is told
of first tokens, moved caches and completions. It is told at the times of a simulated run and asks a fresh policy of its
own; every route must come out as it did in the simulator.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from inference.domain.action import Route
from inference.domain.reckoning import Pledge, Reckoning
from inference.domain.replica import ReplicaSpec, Role
from inference.domain.request import Priority, Request
from inference.policies.registry import routing_policy
from inference.results.run import RunResult
from inference.scenarios.build import plan_of
from inference.scenarios.loader import load
from inference.sim.simulation import Simulation

STARTED, FIRST_TOKEN, MOVED, DECODING, COMPLETED = range(5)


@dataclass
class Gateway:
    """A driver without replicas: `domain.view.ClusterView` from its own counting."""

    specs: tuple[ReplicaSpec, ...]
    policy: Any
    reckoning: Reckoning = field(default_factory=Reckoning)
    waiting_requests: list[int] = field(default_factory=list)
    present: list[int] = field(default_factory=list)
    pledges: dict[int, Pledge] = field(default_factory=dict)

    def __post_init__(self):
        for spec in self.specs:
            self.reckoning.add(spec.model.weights_bytes)
        self.waiting_requests = [0] * len(self.specs)
        self.present = [0] * len(self.specs)
        self.accepting = [True] * len(self.specs)
        self.role = [spec.role for spec in self.specs]
        self.model_id = [spec.model_id for spec in self.specs]
        self.kv_bytes_per_token = [spec.model.kv_bytes_per_token for spec in self.specs]
        self.kv_capacity_bytes = [spec.gpu.memory_bytes * spec.tp for spec in self.specs]
        self.pending_tokens = self.reckoning.pending_tokens
        self.kv_committed_bytes = self.reckoning.kv_committed_bytes
        self.policy.changed(self, 0)

    def send(self, request: Request) -> Route:
        route = self.policy.route(request, self, request.arrival_ns)
        assert isinstance(route, Route)
        each = self.kv_bytes_per_token[route.decode]
        pledge = Pledge(
            route.prefill,
            route.decode,
            request.prompt_tokens,
            request.output_tokens,
            (request.prompt_tokens + 1) * each,
            (request.output_tokens - 1) * each,
        )
        self.pledges[request.request_id] = pledge
        self.reckoning.routed(pledge)
        stages = 2 if pledge.prefill == pledge.decode else 1
        self.waiting_requests[pledge.prefill] += stages
        self.present[pledge.prefill] += stages
        return route

    def told(self, what: int, request_id: int, now_ns: int) -> None:
        pledge = self.pledges[request_id]
        match what:
            case 0:  # STARTED
                self.waiting_requests[pledge.prefill] -= 1
            case 1:  # FIRST_TOKEN
                self.reckoning.prefilled(pledge)
                self.left(pledge.prefill, now_ns)
            case 2:  # MOVED
                self.reckoning.moved(pledge)
                if pledge.prefill != pledge.decode:
                    self.waiting_requests[pledge.decode] += 1
                    self.present[pledge.decode] += 1
            case 3:  # DECODING
                self.waiting_requests[pledge.decode] -= 1
            case 4:  # COMPLETED
                self.reckoning.completed(pledge)
                self.left(pledge.decode, now_ns)

    def left(self, replica: int, now_ns: int) -> None:
        self.present[replica] -= 1
        if not self.present[replica]:
            self.policy.idle(replica, self, now_ns)


def reports(run: RunResult) -> list[tuple[int, int, int]]:
    """(time, what, request) of everything that a gateway would be told, in order."""
    requests = run.requests
    moved = requests.first_token_ns + requests.transfer_ns
    columns = (
        requests.prefill_start_ns, requests.first_token_ns, moved, requests.decode_start_ns, requests.completion_ns,
    )  # fmt: skip
    return sorted(
        (time, what, row)
        for what, times in enumerate(columns)
        for row, time in enumerate(times.tolist())
    )


@pytest.mark.parametrize(
    ("scenario", "changed"),
    [
        ("golden-baseline-h100-conv30.toml", ()),
        ("golden-hh-conv30.toml", ()),
        # Beyond what its prefill pool can take: replicas become mixed and go home again.
        (
            "golden-hh-conv30.toml",
            ("replicas.prefill.count=6", "trace.duration_s=40", "latency=context"),
        ),
    ],
)
def test_a_gateway_routes_as_the_simulator_does(scenario, changed):
    loaded = load(scenario, changed)
    plan = plan_of(loaded)
    run = Simulation(plan).run()
    parameters = loaded.routing.parameters
    policy = routing_policy(loaded.routing.policy, parameters, seed=0, source="test")
    gateway = Gateway(tuple(plan.replicas), policy)
    told = reports(run)
    expected = zip(
        run.requests.prefill_replica.tolist(), run.requests.decode_replica.tolist(), strict=True
    )
    at = 0
    for row, route in enumerate(expected):
        arrival_ns = int(plan.trace.arrival_ns[row])
        while told[at][0] < arrival_ns:
            gateway.told(told[at][1], told[at][2], told[at][0])
            at += 1
        prompt, output = int(plan.trace.prompt_tokens[row]), int(plan.trace.output_tokens[row])
        request = Request(row, arrival_ns, prompt, output, 0, Priority.HIGH)
        assert gateway.send(request) == route, f"request {row} at {arrival_ns} ns"
    assert len(set(run.requests.decode_replica.tolist())) > 10
    if changed:
        prefilled = {plan.replicas[index].role for index in run.requests.prefill_replica.tolist()}
        assert prefilled == {Role.PREFILL, Role.DECODE}, "no replica became mixed"
