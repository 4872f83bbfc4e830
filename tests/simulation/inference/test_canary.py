"""Goal: what is wrong on purpose is caught by the checks that results rest on: tables, objectives, audit, refusals.

A canary of routing, of batching and of a model each, in whole runs; the conformance suites have canaries of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from inference.domain.action import Refuse, Route
from inference.domain.replica import ReplicaSpec
from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.errors import PolicyError
from inference.models.protocols import PowerModel
from inference.policies.batching.protocol import Selection
from inference.policies.batching.queue import BatchQueue, Stage
from inference.policies.batching.splitwise import SplitwiseBatching
from inference.policies.routing.token_jsq import TokenJsq
from inference.results.golden import golden_difference
from inference.scenarios.objectives import broken, held
from inference.sim.audit import AuditError
from inference.sim.simulation import Plan
from tests.simulation.inference.behaviour import Change, batching, faults, same, simulated
from tests.simulation.inference.test_golden_tables import GOLDEN

LOAD = ("trace.rate_per_s=6.0", "routing.policy=token_jsq")


@dataclass
class Favourite:
    """Sends every request to one replica."""

    retry_ns: int = 0

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        return Route(0, 0)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        pass

    def changed(self, view: ClusterView, now_ns: int) -> None:
        pass


@dataclass
class SecondBest(Favourite):
    """Joins the second shortest queue: hardly worse, and wrong all the same."""

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        pending = view.pending_tokens
        chosen = sorted(range(len(pending)), key=pending.__getitem__)[1]
        return Route(chosen, chosen)


@dataclass
class Greedy:
    """Takes whoever waits into the batch, whether there is memory or not."""

    def select(self, queue: BatchQueue) -> Selection:
        joining = [stage for stage in queue.waiting if stage.ready]
        queue.exchange(joining, [])
        return Selection(joining, [])

    def interrupts(self, queue: BatchQueue, stage: Stage) -> bool:
        return True

    def resumes(self, queue: BatchQueue) -> bool:
        return True


@dataclass
class Forgetful:
    """Splitwise's rules, but for one stage that it takes from the queue and runs nowhere."""

    rules: SplitwiseBatching = field(default_factory=SplitwiseBatching)
    selections: int = 0

    def select(self, queue: BatchQueue) -> Selection:
        joining, leaving, paused = self.rules.select(queue)
        self.selections += 1
        return Selection(joining[:-1] if self.selections == 3 else joining, leaving, paused)

    def interrupts(self, queue: BatchQueue, stage: Stage) -> bool:
        return self.rules.interrupts(queue, stage)

    def resumes(self, queue: BatchQueue) -> bool:
        return self.rules.resumes(queue)


@dataclass
class Hungry:
    """A power model that is off by a factor."""

    power: PowerModel
    factor: float

    @property
    def idle_w(self) -> float:
        return self.factor * self.power.idle_w

    def prefill_w(self, tokens: int) -> float:
        return self.factor * self.power.prefill_w(tokens)

    def decode_w(self, batch: int, context_tokens: int) -> float:
        return self.factor * self.power.decode_w(batch, context_tokens)

    def mixed_w(self, tokens: int, batch: int, context_tokens: int) -> float:
        return self.factor * self.power.mixed_w(tokens, batch, context_tokens)

    def at_clock(self, clock_mhz: int) -> "Hungry":
        return Hungry(self.power.at_clock(clock_mhz), self.factor)


def with_(**parts: Any) -> Change:
    """A change that puts other mechanisms into a plan."""

    def change(plan: Plan) -> Plan:
        return replace(plan, mechanisms=replace(plan.mechanisms, **parts))

    return change


def hungry(factor: float) -> Change:
    def change(plan: Plan) -> Plan:
        made = plan.mechanisms.power
        assert made is not None

        def power(spec: ReplicaSpec) -> Hungry:
            return Hungry(made(spec), factor)

        return replace(plan, mechanisms=replace(plan.mechanisms, power=power))

    return change


def changed_rows(difference: str) -> tuple[list[str], list[str]]:
    """Rows that a table lost and got."""
    lines = [line for line in difference.splitlines() if line[:1] in "+-"]
    rows = [line for line in lines if line[:3] not in ("+++", "---")]
    return [one[1:] for one in rows if one[0] == "-"], [one[1:] for one in rows if one[0] == "+"]


def columns(names: Sequence[str], row: str) -> dict[str, str]:
    return dict(zip(reversed(names), reversed(row.split()), strict=False))


def test_one_replica_for_all_breaks_the_objectives():
    sane = simulated(LOAD, with_(routing=TokenJsq()))
    assert held(sane)
    wrong = simulated(LOAD, with_(routing=Favourite()))
    assert not held(wrong)
    assert {"ttft_p50", "ttft_p90", "ttft_p99", "e2e_p99"} <= set(broken(wrong))


@pytest.mark.parametrize("canary", [Favourite, SecondBest])
def test_wrong_routing_changes_every_row_of_a_table(canary):
    difference = golden_difference(
        GOLDEN / "batching.txt", batching(lambda plan: with_(routing=canary())(plan))
    )
    lost, got = changed_rows(difference)
    assert len(lost) == len(got) == len((GOLDEN / "batching.txt").read_text().splitlines()) - 2


def test_a_batch_beyond_memory_is_refused():
    crowd = ("trace.rate_per_s=60.0", "routing.policy=token_jsq")
    with pytest.raises(PolicyError, match="more requests than its KV memory holds"):
        simulated(crowd, with_(batching=lambda spec: Greedy()))
    assert simulated(crowd, same).completed > 1500


def test_a_stage_that_is_forgotten_is_missed():
    with pytest.raises(AuditError, match="never finished"):
        simulated(LOAD, with_(batching=lambda spec: Forgetful()))


def test_power_off_by_a_tenth_is_a_change_of_energy_alone():
    path = GOLDEN / "faults.txt"
    assert golden_difference(path, faults(hungry(1.0))) == ""
    lost, got = changed_rows(golden_difference(path, faults(hungry(1.1))))
    names = path.read_text().splitlines()[1].split()[2:]
    assert lost
    for before, after in zip(lost, got, strict=True):
        was, now = columns(names, before), columns(names, after)
        assert {name for name in names if was[name] != now[name]} == {
            "gpu_energy_j_per_output_token",
            "power_w_mean",
        }
        assert float(now["power_w_mean"]) == pytest.approx(
            1.1 * float(was["power_w_mean"]), rel=2e-3
        )
