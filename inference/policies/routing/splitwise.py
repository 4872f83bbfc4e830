"""Splitwise's cluster-level scheduler: pairs from prefill, decode and mixed pools (Splitwise, section 4.1).

Join the shortest queue, in pending tokens for prefills and in committed memory for decodes. Where the best of a pool has
too long a queue (or no memory), look among mixed replicas; where none of those will do, take the best of the opposite
pool and make it mixed. A mixed replica returns to its home pool once it has nothing left to do; one that stays mixed for
long belongs to the other pool from then on (coarse re-purposing: the load is not what the pools were sized for).
"""

from dataclasses import dataclass, field

from inference.domain.action import Refuse, Route
from inference.domain.replica import Role
from inference.domain.request import Request
from inference.domain.view import ClusterView


@dataclass(slots=True)
class SplitwiseRouting:
    """Prefill, decode and mixed pools over the replicas of one model.

    Attributes:
        queue_tokens_max: a prefill queue beyond this many pending tokens is too long (the authors' simulator: 8,192).
        repurpose_ns: time in the mixed pool after which a replica's home becomes the opposite one; 0: never, as in the
            authors' simulator.
    """

    queue_tokens_max: int = 8192
    repurpose_ns: int = 0
    retry_ns: int = 0
    _prefill: list[int] = field(default_factory=list)
    _decode: list[int] = field(default_factory=list)
    _mixed: list[int] = field(default_factory=list)
    _known: set[int] = field(default_factory=set)
    _homes: dict[int, int] = field(default_factory=dict)
    _mixed_since_ns: dict[int, int] = field(default_factory=dict)

    def route(self, request: Request, view: ClusterView, now_ns: int) -> Route | Refuse | None:
        """A pair; the same replica twice where nothing else is left. None while no replica accepts."""
        prompt_bytes = output_bytes = 0
        if self._known:
            sample = next(iter(self._known))
            each = view.kv_bytes_per_token[sample]
            prompt_bytes = (request.prompt_tokens + 1) * each
            output_bytes = (request.output_tokens - 1) * each
        prefill = self._shortest(self._prefill, request, view)
        if prefill < 0:
            prefill = self._shortest(self._mixed, request, view)
        need = prompt_bytes + output_bytes
        decode = self._emptiest(self._decode, need, view)
        if decode < 0:
            decode = self._emptiest(self._mixed, need, view)
        if prefill < 0 and self._decode:
            prefill = min(self._decode, key=view.pending_tokens.__getitem__)
            self._mix(self._decode, prefill, now_ns)
        if decode < 0 and self._prefill:
            decode = min(self._prefill, key=view.kv_committed_bytes.__getitem__)
            self._mix(self._prefill, decode, now_ns)
        if prefill < 0 or decode < 0:
            everyone = self._prefill + self._mixed + self._decode
            if not everyone:
                return None
            prefill = decode = min(everyone, key=view.pending_tokens.__getitem__)
        return Route(prefill, decode)

    def idle(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """A mixed replica goes home."""
        if replica in self._mixed:
            self._repurpose(replica, view, now_ns)
            self._mixed.remove(replica)
            self._home(replica, view).append(replica)

    def changed(self, view: ClusterView, now_ns: int) -> None:
        """Take in replicas that have come and leave out those that take nothing more."""
        accepting = {index for index, accepts in enumerate(view.accepting) if accepts}
        for pool in (self._prefill, self._decode, self._mixed):
            pool[:] = [index for index in pool if index in accepting]
        for index in sorted(accepting - self._known):
            self._home(index, view).append(index)
        self._known = accepting

    def _mix(self, pool: list[int], replica: int, now_ns: int) -> None:
        pool.remove(replica)
        self._mixed.append(replica)
        self._mixed_since_ns[replica] = now_ns

    def _repurpose(self, replica: int, view: ClusterView, now_ns: int) -> None:
        """Give a replica that was mixed for long the opposite home."""
        since_ns = self._mixed_since_ns.pop(replica, now_ns)
        home = self._homes.get(replica, view.role[replica])
        if self.repurpose_ns and now_ns - since_ns >= self.repurpose_ns and home != Role.MIXED:
            self._homes[replica] = Role.DECODE if home == Role.PREFILL else Role.PREFILL

    def _home(self, replica: int, view: ClusterView) -> list[int]:
        role = self._homes.get(replica, view.role[replica])
        if role == Role.PREFILL:
            return self._prefill
        return self._decode if role == Role.DECODE else self._mixed

    def _shortest(self, pool: list[int], request: Request, view: ClusterView) -> int:
        if not pool:
            return -1
        pending = view.pending_tokens
        best = min(pool, key=pending.__getitem__)
        long = pending[best] + request.prompt_tokens > self.queue_tokens_max
        return -1 if long and view.waiting_requests[best] else best

    def _emptiest(self, pool: list[int], need_bytes: int, view: ClusterView) -> int:
        if not pool:
            return -1
        committed = view.kv_committed_bytes
        best = min(pool, key=committed.__getitem__)
        full = committed[best] + need_bytes >= view.kv_capacity_bytes[best]
        return -1 if full else best
