"""What an instance manager does when requests turn out longer than predicted (DynamoLLM, section IV-D).

In this order, and no further than needed: serve waiting requests by deadline; raise the clock to the highest; move
requests that have not started elsewhere; give up those whose deadline has long passed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inference.domain.action import Action, MoveRequest, ReorderQueue, SetClock, SquashRequest
from inference.domain.view import Resident


class Refuge(NamedTuple):
    """Another replica that may take requests.

    Attributes:
        replica: its index.
        free_ms: prefill time that it can take on now and still keep its own objectives.
        prefill_ms: time to prefill so many tokens there.
    """

    replica: int
    free_ms: float
    prefill_ms: Callable[[int], float]


class Trouble(NamedTuple):
    """A replica with requests that wait.

    Attributes:
        replica: its index.
        residents: its requests, oldest first.
        clock_mhz, clock_max_mhz: present and highest.
        prefill_ms: time to prefill so many tokens at the present clock.
        prefill_fast_ms: the same at the highest.
    """

    replica: int
    residents: Sequence[Resident]
    clock_mhz: int
    clock_max_mhz: int
    prefill_ms: Callable[[int], float]
    prefill_fast_ms: Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Escalation:
    """The ladder.

    Attributes:
        ttft_ms: promised to a request by its prompt.
        squash_factor: a request is given up once it has waited this many times what it was promised; the paper gives
            up at its deadline (1), which fails requests that are late by an instant.
        clock_delay_ns: of a clock command.
    """

    ttft_ms: Callable[[int], float]
    squash_factor: float = 10.0
    clock_delay_ns: int = 0

    def decide(
        self, trouble: Trouble, refuges: Sequence[Refuge], now_ns: int
    ) -> tuple[Action, ...]:
        """Actions for one replica; none where all that wait will have their first token in time."""
        waiting = [one for one in trouble.residents if not one.started]
        if not self._late(waiting, trouble.prefill_ms, now_ns):
            return ()
        ordered = sorted(waiting, key=lambda one: (self._deadline_ns(one), one.request_id))
        actions: list[Action] = []
        if ordered != waiting:
            ids = tuple(one.request_id for one in ordered)
            actions.append(ReorderQueue(trouble.replica, ids))
        if not self._late(ordered, trouble.prefill_ms, now_ns):
            return tuple(actions)
        if trouble.clock_mhz < trouble.clock_max_mhz:
            actions.append(SetClock(trouble.replica, trouble.clock_max_mhz, self.clock_delay_ns))
        late = self._late(ordered, trouble.prefill_fast_ms, now_ns)
        moved = self._moves(trouble.replica, late, refuges, now_ns)
        actions += moved
        gone = {move.request_id for move in moved}
        actions += [
            SquashRequest(one.request_id, trouble.replica)
            for one in late
            if one.request_id not in gone and self._hopeless(one, now_ns)
        ]
        return tuple(actions)

    def _deadline_ns(self, one: Resident) -> int:
        return one.arrival_ns + round(self.ttft_ms(one.prompt_tokens) * 1e6)

    def _late(
        self, waiting: Sequence[Resident], prefill_ms: Callable[[int], float], now_ns: int
    ) -> list[Resident]:
        """Those whose first token comes after their deadline, if prompts are prefilled in this order."""
        late, done_ms = [], 0.0
        for one in waiting:
            done_ms += prefill_ms(one.prompt_tokens)
            if now_ns + done_ms * 1e6 > self._deadline_ns(one):
                late.append(one)
        return late

    def _moves(
        self, source: int, late: Sequence[Resident], refuges: Sequence[Refuge], now_ns: int
    ) -> list[MoveRequest]:
        """Each late request to the refuge that has the most room left, while that one would be in time."""
        free_ms = {refuge.replica: refuge.free_ms for refuge in refuges}
        taken_ms = dict.fromkeys(free_ms, 0.0)
        moves = []
        for one in late:
            fitting = [
                refuge
                for refuge in refuges
                if refuge.prefill_ms(one.prompt_tokens) <= free_ms[refuge.replica]
            ]
            if not fitting:
                continue
            best = max(fitting, key=lambda refuge: (free_ms[refuge.replica], -refuge.replica))
            own_ms = best.prefill_ms(one.prompt_tokens)
            if now_ns + (taken_ms[best.replica] + own_ms) * 1e6 > self._deadline_ns(one):
                continue
            free_ms[best.replica] -= own_ms
            taken_ms[best.replica] += own_ms
            moves.append(MoveRequest(one.request_id, source, best.replica))
        return moves

    def _hopeless(self, one: Resident, now_ns: int) -> bool:
        waited_ms = (now_ns - one.arrival_ns) / 1e6
        return waited_ms > self.squash_factor * self.ttft_ms(one.prompt_tokens)
