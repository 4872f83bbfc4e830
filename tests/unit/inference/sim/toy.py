"""A small cluster with round numbers, for tests of the simulator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from inference.domain.action import Action
from inference.domain.replica import Gpu, Model, ReplicaSpec, Role
from inference.domain.view import ClusterView
from inference.policies.batching.protocol import BatchingPolicy
from inference.policies.batching.splitwise import SplitwiseBatching
from inference.policies.protocols import RoutingPolicy
from inference.policies.routing.token_jsq import TokenJsq
from inference.results.run import RunResult
from inference.sim.mechanisms import Mechanisms
from inference.sim.simulation import Plan, Simulation
from inference.sim.transfers import PrivateTransfers
from inference.traces.trace import Trace, trace_of

MS = 1_000_000
GPU = Gpu("toy-gpu", 10_000, 1e12, 1.0, 500.0, 1e9, 1000, 200, 1.0)
MODEL = Model("toy-model", 1, 1, 1, 1, 1, weights_bytes=1_000, dtype_bytes=1)
"""Two bytes of KV cache a token."""


@dataclass(frozen=True, slots=True)
class ToyLatency:
    """1 ms for each prompt token, 10 ms for a decode iteration, both in proportion to the clock's period."""

    clock_mhz: int = 1000

    def prefill_ns(self, tokens: int, context_tokens: int) -> int:
        return tokens * MS * 1000 // self.clock_mhz

    def decode_ns(self, batch: int, context_tokens: int, iterations: int) -> int:
        return iterations * 10 * MS * 1000 // self.clock_mhz

    def mixed_ns(self, tokens: int, prefill_context: int, batch: int, context_tokens: int) -> int:
        return (tokens + 10) * MS * 1000 // self.clock_mhz

    def decodes_begun(self, batch: int, context_tokens: int, elapsed_ns: int) -> int:
        return elapsed_ns // (10 * MS * 1000 // self.clock_mhz) + 1

    def at_clock(self, clock_mhz: int) -> "ToyLatency":
        return ToyLatency(clock_mhz)


@dataclass(frozen=True, slots=True)
class ToyPower:
    """100 W idle, 500 W in a prefill, 300 W in a decode."""

    idle_w: float = 100.0

    def prefill_w(self, tokens: int) -> float:
        return 500.0

    def decode_w(self, batch: int, context_tokens: int) -> float:
        return 300.0

    def mixed_w(self, tokens: int, batch: int, context_tokens: int) -> float:
        return 400.0

    def at_clock(self, clock_mhz: int) -> "ToyPower":
        return self


def replica(role: Role = Role.MIXED, tp: int = 1) -> ReplicaSpec:
    return ReplicaSpec(GPU, MODEL, tp, role)


def mechanisms(routing: RoutingPolicy, batching: BatchingPolicy | None = None) -> Mechanisms:
    policy = batching or SplitwiseBatching()
    return Mechanisms(
        routing,
        lambda spec: policy,
        lambda spec: ToyLatency(),
        lambda spec: ToyPower(),
        lambda events, replicas: PrivateTransfers(events, 1e6),
    )


@dataclass(slots=True)
class Script:
    """A control policy that plays lists of actions, one list a call."""

    steps: (
        Any  # lists of lists of actions; of several kinds in one list, which mypy joins to object
    )
    period_ns: int = 50 * MS
    played: int = 0

    def decide(self, view: ClusterView, now_ns: int) -> Sequence[Action]:
        step: Sequence[Action] = self.steps[self.played] if self.played < len(self.steps) else ()
        self.played += 1
        return step


def trace(*rows: tuple[int, int, int]) -> Trace:
    """(arrival in ms, prompt tokens, output tokens) of each request."""
    arrivals, prompts, outputs = zip(*rows, strict=True)
    return trace_of("toy", np.array(arrivals) * MS, np.array(prompts), np.array(outputs))


def simulation(
    plan_trace: Trace, replicas=None, routing=None, batching=None, **options
) -> Simulation:
    """One replica under join-the-shortest-queue where nothing else is said; `mechanisms` replaces fields of those."""
    changed = options.pop("mechanisms", {})
    specs = replicas or [replica()]
    made = replace(mechanisms(routing or TokenJsq(), batching), **changed)
    return Simulation(Plan("toy", 0, plan_trace, specs, made, **options))


def run(plan_trace: Trace, replicas=None, routing=None, batching=None, **options) -> RunResult:
    return simulation(plan_trace, replicas, routing, batching, **options).run()
