"""Which replica is on which server: the controller's own book, for a view of the cluster does not tell.

A replica that was asked for has no index until the driver brings it into the view. Until then its seat is empty, and its
server is left alone. New indices are given to seats in the order in which they were asked for, by pool and TP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from inference.domain.action import Action, Reshard, StartReplica, StopReplica
from inference.domain.replica import ReplicaSpec
from inference.domain.view import ClusterView
from inference.policies.dynamo.cluster import SERVER_GPUS
from inference.policies.dynamo.pool import SYNC_NS, Change, Layout, move_units, parts
from inference.policies.dynamo.reshard import TAU_NS

# A new server, with weights in the cluster and a snapshot of the engine: engine set-up 18 s, weights and KV cache 15 s.
START_NS = 33 * 10**9

_NOBODY = -1


@dataclass(slots=True)
class Seat:
    """Place of one replica on a server: its index, or -1 while it is on its way."""

    tp: int
    replica: int = _NOBODY


@dataclass(slots=True)
class Server:
    """Eight GPUs of one pool.

    Attributes:
        pool: that it belongs to.
        seats: of the replicas that it has or gets.
        leaving: replicas that stop once all seats are taken.
    """

    pool: int
    seats: list[Seat] = field(default_factory=list)
    leaving: list[int] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        """TPs, largest first."""
        return tuple(sorted((seat.tp for seat in self.seats), reverse=True))

    @property
    def settled(self) -> bool:
        """Whether no replica is on its way."""
        return not self.leaving and all(seat.replica != _NOBODY for seat in self.seats)


class Placement:
    """All servers of a cluster.

    Attributes:
        servers: in use now.
        owned: (time, number of servers) at each change of that number: GPUs without a replica idle there too.
    """

    def __init__(
        self,
        spec: ReplicaSpec,
        servers: Sequence[int],
        start_ns: int = START_NS,
        tau_ns: int = TAU_NS,
        sync_ns: int = SYNC_NS,
    ) -> None:
        """Begin with whole servers, one TP8 replica on each.

        Args:
            spec: of a replica; TP and pool are set here.
            servers: of each pool.
            start_ns: until a replica on a fresh server accepts requests.
            tau_ns: time to move an eighth of the model.
            sync_ns: pause after a re-shard.
        """
        self._spec = spec
        self._start_ns, self._tau_ns, self._sync_ns = start_ns, tau_ns, sync_ns
        self._seen = 0
        self._waiting: list[tuple[Server, Seat]] = []
        self.servers: list[Server] = []
        self.owned: list[tuple[int, int]] = [(0, sum(servers))]
        for pool, number in enumerate(servers):
            for _ in range(number):
                self._seat(server := Server(pool), SERVER_GPUS)
                self.servers.append(server)

    def initial_specs(self) -> list[ReplicaSpec]:
        """Replicas that the cluster starts with, in the order of their indices."""
        return [self._of(server.pool, seat.tp) for server, seat in self._waiting]

    def sync(self, view: ClusterView) -> list[Action]:
        """Give indices to seats, and stop what has been replaced."""
        for index in range(self._seen, len(view.accepting)):
            key = (view.pool[index], view.tp[index])
            for place, (server, seat) in enumerate(self._waiting):
                if (server.pool, seat.tp) == key:
                    seat.replica = index
                    del self._waiting[place]
                    break
        self._seen = len(view.accepting)
        actions: list[Action] = []
        for server in self.servers:
            seated = all(
                seat.replica != _NOBODY and view.accepting[seat.replica] for seat in server.seats
            )
            if server.leaving and seated:
                actions += [StopReplica(replica) for replica in server.leaving]
                server.leaving.clear()
        return actions

    def of_pool(self, pool: int) -> list[Server]:
        """Servers of a pool."""
        return [server for server in self.servers if server.pool == pool]

    def replicas(self) -> list[tuple[int, int, int]]:
        """(replica, pool, TP) of all that have an index and stay."""
        return [
            (seat.replica, server.pool, seat.tp)
            for server in self.servers
            for seat in server.seats
            if seat.replica != _NOBODY
        ]

    def reshard(self, server: Server, change: Change) -> list[Action]:
        """Carry a change of one server out.

        Where the new replicas need GPUs that no old one holds, they start beside the old ones, which go when they are
        up; else they take the old ones' GPUs over.
        """
        gone, come = parts(server.layout, change.layout)
        old = self._leave(server, gone)
        for tp in come:
            self._seat(server, tp)
        specs = tuple(self._of(server.pool, tp) for tp in come)
        copy_ns = change.units * self._tau_ns
        if not come:
            return [StopReplica(replica) for replica in old]
        if old and sum(come) <= sum(gone):
            return [Reshard(tuple(old), specs, copy_ns, self._sync_ns)]
        delay_ns = copy_ns + self._sync_ns if old or change.units else self._start_ns
        server.leaving += old
        return [StartReplica(spec, delay_ns) for spec in specs]

    def resize(self, wanted: Sequence[int], view: ClusterView, now_ns: int) -> list[Action]:
        """Give and take servers; one that changes pools keeps its replicas, which all serve the same model."""
        actions: list[Action] = []
        spare: list[Server] = []
        for pool, number in enumerate(wanted):
            own = self.of_pool(pool)
            idle_first = sorted(
                (server for server in own if server.settled),
                key=lambda server: sum(view.pending_tokens[seat.replica] for seat in server.seats),
            )
            spare += idle_first[: max(0, len(own) - number)]
        for pool, number in enumerate(wanted):
            for _ in range(number - len(self.of_pool(pool))):
                if spare:
                    actions += self._relabel(spare.pop(), pool, view)
                else:
                    self.servers.append(server := Server(pool))
                    self._seat(server, SERVER_GPUS)
                    actions.append(StartReplica(self._of(pool, SERVER_GPUS), self._start_ns))
        for server in spare:
            self.servers.remove(server)
            actions += [StopReplica(seat.replica) for seat in server.seats]
        if len(self.servers) != self.owned[-1][1]:
            self.owned.append((now_ns, len(self.servers)))
        return actions

    def _relabel(self, server: Server, pool: int, view: ClusterView) -> list[Action]:
        actions: list[Action] = []
        server.pool = pool
        for seat in server.seats:
            clock_mhz = view.clock_mhz[seat.replica]
            spec = replace(self._of(pool, seat.tp), clock_mhz=clock_mhz)
            actions.append(Reshard((seat.replica,), (spec,), 0, 0))
            seat.replica = _NOBODY
            self._waiting.append((server, seat))
        return actions

    def _leave(self, server: Server, gone: Layout) -> list[int]:
        old = []
        for tp in gone:
            seat = next(seat for seat in server.seats if seat.tp == tp)
            server.seats.remove(seat)
            old.append(seat.replica)
        return old

    def _seat(self, server: Server, tp: int) -> None:
        seat = Seat(tp)
        server.seats.append(seat)
        self._waiting.append((server, seat))

    def _of(self, pool: int, tp: int) -> ReplicaSpec:
        return replace(self._spec, pool=pool, tp=tp)


def change_to(server: Server, layout: Layout, place: int = 0) -> Change:
    """The change that brings a server to a layout."""
    return Change(place, layout, move_units(server.layout, layout))
