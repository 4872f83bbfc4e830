"""Cluster frontend: the pool of a request's predicted class, and the replica in it (DynamoLLM, section IV-C and IV-E)."""

import math
from dataclasses import dataclass, field

from inference.domain.action import Refuse, Route
from inference.domain.request import Request
from inference.domain.view import ClusterView
from inference.policies.dynamo.classes import Taxonomy
from inference.policies.dynamo.loads import MEMORY_S, LoadBook
from inference.policies.dynamo.profile import EnergyProfile


@dataclass(slots=True)
class DynamoFrontend:
    """Routes by class. The `class_id` of a request is used where it has one, else its lengths are classified.

    Attributes:
        taxonomy: of the pools; a replica's `pool` is its class.
        profile: of those classes.
        loads: told of every arrival and route.
        packs: of the replicas that stay within their objectives, take the one whose power rises least; False: the one
            with the fewest pending tokens.
        spills: where none of the native pool stays within its objectives, look in those of dominating classes, nearest
            first; False: the native pool takes all that it has replicas for.
        retry_ns: where no replica accepts, the request is held and offered again after this time.
    """

    taxonomy: Taxonomy
    profile: EnergyProfile
    loads: LoadBook
    packs: bool = True
    spills: bool = True
    retry_ns: int = 100_000_000
    _pools: list[list[int]] = field(default_factory=list)
    _held: set[int] = field(default_factory=set)
    _powers: dict[tuple[int, int, int], tuple[float, ...]] = field(default_factory=dict)

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        """The replica that serves both phases; None while no pool has one that accepts."""
        class_id = request.class_id
        if class_id < 0:
            class_id = self.taxonomy.classify(request.prompt_tokens, request.output_tokens)
        if request.request_id not in self._held:
            self.loads.arrived(class_id)
        chosen = self._within(request, class_id, view, now_ns) if self.spills else None
        if chosen is None:
            chosen = self._shortest(class_id, view)
        if chosen is None:
            self._held.add(request.request_id)
            return None
        self._held.discard(request.request_id)
        self.loads.routed(chosen, class_id, view.pool[chosen], now_ns)
        return Route(chosen, chosen)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """Nothing to do: an idle replica keeps its clock until the instance manager looks."""

    def changed(self, view: ClusterView, now_ns: int) -> None:
        """Note which replicas of each pool accept requests."""
        self._pools = [[] for _ in range(len(self.taxonomy))]
        for index, accepts in enumerate(view.accepting):
            if accepts:
                self._pools[view.pool[index]].append(index)

    def _within(
        self, request: Request, class_id: int, view: ClusterView, now_ns: int
    ) -> int | None:
        """First at present clocks; else at the highest, which the instance manager will ask for."""
        for raised in (False, True):
            for pool in self.taxonomy.spill[class_id]:
                best = self._best(pool, request, class_id, raised, view, now_ns)
                if best is not None:
                    return best
        return None

    def _best(
        self,
        pool: int,
        request: Request,
        class_id: int,
        raised: bool,
        view: ClusterView,
        now_ns: int,
    ) -> int | None:
        promised_ms = self.taxonomy.classes[class_id].ttft_ms
        more_per_s = self.loads.weight(class_id, pool) / MEMORY_S
        best: tuple[float, int] | None = None
        for replica in self._pools[pool]:
            clock = self.profile.clock_max_mhz
            if not raised:
                clock = self._known_clock(view.clock_mhz[replica])
            cell = self.profile.cell(pool, view.tp[replica], clock)
            if self.loads.load(replica, now_ns) + more_per_s > cell.load_max_per_s:
                continue
            added_w = self._added_w(replica, clock, request.prompt_tokens, promised_ms, view)
            if added_w is None:
                continue
            cost = added_w if self.packs else float(view.pending_tokens[replica])
            if best is None or (cost, replica) < best:
                best = (cost, replica)
        return None if best is None else best[1]

    def _added_w(
        self, replica: int, clock: int, prompt_tokens: int, promised_ms: float, view: ClusterView
    ) -> float | None:
        """By how much one more request raises a replica's power; None where it would break an objective."""
        pool, tp = view.pool[replica], view.tp[replica]
        present = view.running_requests[replica] + view.waiting_requests[replica]
        powers = self._power_by_batch(pool, tp, clock)
        if present + 1 >= len(powers):
            return None
        queued = max(0, view.pending_tokens[replica] - present) + prompt_tokens
        cell = self.profile.cell(pool, tp, clock)
        if cell.queue_ms(queued) + (cell.tbt_ms_p99[0] if present else 0.0) > promised_ms:
            return None
        return powers[present + 1] - powers[present]

    def _shortest(self, class_id: int, view: ClusterView) -> int | None:
        """The shortest queue of the nearest pool, or, where load may spill, of all pools that dominate the class."""
        pending = view.pending_tokens
        near = [self._pools[pool] for pool in self.taxonomy.spill[class_id] if self._pools[pool]]
        if near:
            choice = [one for pool in near for one in pool] if self.spills else near[0]
            return min(choice, key=pending.__getitem__)
        # A smaller class' pool is better than none at all.
        others = [replica for pool in self._pools for replica in pool]
        return min(others, key=pending.__getitem__) if others else None

    def _power_by_batch(self, pool: int, tp: int, clock: int) -> tuple[float, ...]:
        """Power with 0, 1, 2, … requests; as many as that clock sustains on average.

        A replica that is packed stays at its bound, so the bound is the mean batch of its highest load: the profile's
        percentiles leave room for the fluctuation of a batch around that mean.
        """
        key = (pool, tp, clock)
        if key not in self._powers:
            cell = self.profile.cell(pool, tp, clock)
            most = max(1, math.floor(cell.batch[-1])) if cell.loads_per_s else -1
            self._powers[key] = tuple(
                cell.power_at(cell.load_at(float(batch))) for batch in range(most + 1)
            )
        return self._powers[key]

    def _known_clock(self, clock_mhz: int) -> int:
        """The profile's highest clock that is not above a replica's: a cap may have set one in between."""
        below = [clock for clock in self.profile.clocks_mhz if clock <= clock_mhz]
        return below[-1] if below else self.profile.clocks_mhz[0]
