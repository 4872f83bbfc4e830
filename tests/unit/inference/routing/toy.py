"""A cluster small enough to hold in the head: it keeps the view's columns and nothing of time.

Its columns are tuples, so a policy that writes into them fails at once.
"""

from dataclasses import dataclass, field
from typing import Any

from inference.domain.action import Route
from inference.domain.replica import Role
from inference.domain.request import Request
from inference.domain.view import Resident

WEIGHTS_BYTES = 1_000_000
BYTES_PER_TOKEN = 100


@dataclass
class ToyReplica:
    """One replica: what it is, and who is there in which phase (request id to [request, generated tokens])."""

    tokens_max: int
    role: Role = Role.MIXED
    model: int = 0
    pool: int = 0
    accepting: bool = True
    prompt_total: int = 0
    output_total: int = 0
    prefills: dict[int, Request] = field(default_factory=dict)
    decodes: dict[int, list[Any]] = field(default_factory=dict)

    @property
    def ids(self) -> set[int]:
        return set(self.prefills) | set(self.decodes)

    @property
    def committed(self) -> int:
        prompts = sum(
            one.prompt_tokens for key, one in self.prefills.items() if key not in self.decodes
        )
        whole: int = sum(one.prompt_tokens + one.output_tokens for one, _ in self.decodes.values())
        return WEIGHTS_BYTES + BYTES_PER_TOKEN * (prompts + whole)

    @property
    def pending(self) -> int:
        return sum(one.prompt_tokens for one in self.prefills.values()) + len(self.decodes)


class ToyCluster:
    """Implements `ClusterView` and what a driver does to it."""

    def __init__(self, replicas: list[ToyReplica]) -> None:
        self.replicas = replicas

    def _column(self, of):
        return tuple(of(one) for one in self.replicas)

    accepting = property(lambda self: self._column(lambda one: one.accepting))
    role = property(lambda self: self._column(lambda one: int(one.role)))
    pool = property(lambda self: self._column(lambda one: one.pool))
    model_id = property(lambda self: self._column(lambda one: one.model))
    tp = property(lambda self: self._column(lambda one: 8))
    clock_mhz = property(lambda self: self._column(lambda one: 1980))
    pending_tokens = property(lambda self: self._column(lambda one: one.pending))
    kv_committed_bytes = property(lambda self: self._column(lambda one: one.committed))
    kv_capacity_bytes = property(
        lambda self: self._column(lambda one: WEIGHTS_BYTES + one.tokens_max * BYTES_PER_TOKEN)
    )
    kv_bytes_per_token = property(lambda self: self._column(lambda one: BYTES_PER_TOKEN))
    waiting_requests = property(lambda self: self._column(lambda one: len(one.prefills)))
    running_requests = property(
        lambda self: self._column(lambda one: len(one.ids) - len(one.prefills))
    )
    prompt_tokens_total = property(lambda self: self._column(lambda one: one.prompt_total))
    output_tokens_total = property(lambda self: self._column(lambda one: one.output_total))
    energy_j = property(lambda self: self._column(lambda one: 0.0))

    def residents(self, replica: int) -> tuple[Resident, ...]:
        here = self.replicas[replica]
        requests = {**here.prefills, **{key: one for key, (one, _) in here.decodes.items()}}
        return tuple(
            Resident(
                key,
                one.arrival_ns,
                one.prompt_tokens,
                one.output_tokens,
                here.decodes.get(key, [one, 0])[1],
                started=key not in here.prefills,
            )
            for key, one in sorted(requests.items())
        )

    def power_w(self, replica: int) -> float:
        return 0.0

    def place(self, request: Request, route: Route) -> None:
        """Prefill at one, decode promised to the other."""
        source, target = self.replicas[route.prefill], self.replicas[route.decode]
        source.prefills[request.request_id] = request
        target.decodes[request.request_id] = [request, 0]
        source.prompt_total += request.prompt_tokens
        target.output_total += request.output_tokens

    def prefilled(self, request_id: int) -> None:
        """First token."""
        for one in self.replicas:
            one.prefills.pop(request_id, None)
            if request_id in one.decodes:
                one.decodes[request_id][1] = 1

    def complete(self, request_id: int) -> list[int]:
        """The request leaves; replicas with nothing left to do."""
        idle = []
        for index, one in enumerate(self.replicas):
            if request_id in one.ids:
                one.prefills.pop(request_id, None)
                one.decodes.pop(request_id, None)
                if not one.ids:
                    idle.append(index)
        return idle

    def lose(self, index: int) -> list[Request]:
        """A replica fails; requests that were there in any phase, in order, gone from everywhere."""
        one = self.replicas[index]
        one.accepting = False
        lost = {**one.prefills, **{key: request for key, (request, _) in one.decodes.items()}}
        for key in lost:
            self.complete(key)
        return [lost[key] for key in sorted(lost)]


def request(request_id=0, prompt=10, output=10, model=0, arrival_ns=0) -> Request:
    return Request(request_id, arrival_ns, prompt, output, model)


def toy(*replicas: ToyReplica) -> ToyCluster:
    return ToyCluster(list(replicas))
