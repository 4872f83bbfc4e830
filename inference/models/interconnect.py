"""Links that transfers share: max-min fair rates over senders' and receivers' ports, as a state machine without a clock.

Each replica has one port that sends and one that receives (full duplex); the switch between them never limits. Flows that
meet at a port share it so that none can have more without another of no greater rate having less (progressive filling),
which is what per-flow fair queueing or RDMA congestion control settle at. Rates change only when a flow starts or ends or
a port changes its speed, and only for flows connected to it by shared ports.

    start, stop, set_factor   change the flows and ports
    next_ns()                 when to call `finished`
    finished(now_ns)          the flows that are done
"""

import heapq
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class _Port(Generic[Key]):
    """One direction of one replica's link."""

    __slots__ = ("bytes_per_ns", "factor", "flows")

    def __init__(self, bytes_per_ns: float) -> None:
        self.bytes_per_ns = bytes_per_ns
        self.factor = 1.0
        self.flows: dict[_Flow[Key], None] = {}  # in order of start, so that runs repeat


class _Flow(Generic[Key]):
    """A transfer on its way; `left_bytes` were left at `since_ns`."""

    __slots__ = ("end_ns", "key", "left_bytes", "rate", "since_ns", "source", "target")

    def __init__(
        self, key: Key, source: _Port[Key], target: _Port[Key], size: int, now_ns: int
    ) -> None:
        self.key = key
        self.source = source
        self.target = target
        self.left_bytes = float(size)
        self.rate = 0.0
        self.since_ns = now_ns
        self.end_ns = -1


class Interconnect(Generic[Key]):
    """Shared links between replicas. Time never goes backwards from call to call.

    Type parameter: what names a flow (a request id, a job).
    """

    __slots__ = ("_flows", "_queue", "_receiving", "_sending", "_sequence")

    def __init__(self) -> None:
        self._sending: dict[int, _Port[Key]] = {}
        self._receiving: dict[int, _Port[Key]] = {}
        self._flows: dict[Key, _Flow[Key]] = {}
        self._queue: list[tuple[int, int, _Flow[Key]]] = []
        self._sequence = 0

    def __len__(self) -> int:
        """Flows on their way."""
        return len(self._flows)

    def add_replica(self, replica: int, bytes_per_s: float) -> None:
        """Give a replica its link, all its GPUs' ports together; anew where it had one and nothing is on its way.

        Raises:
            ValueError: the bandwidth is not positive, or flows use the replica's present link.
        """
        if not bytes_per_s > 0:
            raise ValueError(f"expected a bandwidth above 0, found {bytes_per_s}")
        for ports in (self._sending, self._receiving):
            if replica in ports and ports[replica].flows:
                raise ValueError(f"replica {replica} has flows on its way")
            ports[replica] = _Port(bytes_per_s / 1e9)

    def start(self, key: Key, source: int, target: int, size_bytes: int, now_ns: int) -> None:
        """Send `size_bytes` from one replica to another.

        Raises:
            ValueError: `key` is on its way already, the size is negative, or a replica has no link.
        """
        if key in self._flows or size_bytes < 0:
            raise ValueError(f"flow {key!r} of {size_bytes} bytes: on its way, or of negative size")
        if source not in self._sending or target not in self._receiving:
            raise ValueError(f"no link from replica {source} to {target}")
        flow = _Flow(key, self._sending[source], self._receiving[target], size_bytes, now_ns)
        self._flows[key] = flow
        flow.source.flows[flow] = None
        flow.target.flows[flow] = None
        self._share((flow.source, flow.target), now_ns)

    def stop(self, key: Key, now_ns: int) -> int:
        """Give a flow up (its end failed, its request is gone).

        Returns:
            Bytes that had not arrived; 0 for a flow that is not on its way.
        """
        flow = self._flows.get(key)
        if flow is None:
            return 0
        left = flow.left_bytes - flow.rate * (now_ns - flow.since_ns)
        self._remove(flow)
        self._share((flow.source, flow.target), now_ns)
        return max(0, round(left))

    def set_factor(self, replica: int, factor: float, now_ns: int) -> None:
        """Make a replica's link take `factor` times as long (a slow link), 1 to mend it.

        Raises:
            ValueError: the factor is not positive, or the replica has no link.
        """
        if not factor > 0 or replica not in self._sending:
            raise ValueError(f"factor {factor} for replica {replica}: not above 0, or no such link")
        ports = (self._sending[replica], self._receiving[replica])
        for port in ports:
            port.factor = factor
        self._share(ports, now_ns)

    def next_ns(self) -> int | None:
        """When the next flow ends if nothing starts or stops before; None while nothing is on its way."""
        queue = self._queue
        while queue and queue[0][0] != queue[0][2].end_ns:
            heapq.heappop(queue)
        return queue[0][0] if queue else None

    def finished(self, now_ns: int) -> tuple[Key, ...]:
        """Take out the flows that have ended by `now_ns`, in the order of their ends, and share what they leave.

        The caller calls it at `next_ns()`; later would let the others run at rates that are too low.
        """
        done: list[Key] = []
        while (end_ns := self.next_ns()) is not None and end_ns <= now_ns:
            flow = heapq.heappop(self._queue)[2]
            self._remove(flow)
            done.append(flow.key)
            self._share((flow.source, flow.target), end_ns)
        return tuple(done)

    def rate_bytes_per_s(self, key: Key) -> float:
        """Present rate of a flow; 0 for one that is not on its way."""
        flow = self._flows.get(key)
        return flow.rate * 1e9 if flow else 0.0

    def _remove(self, flow: _Flow[Key]) -> None:
        del self._flows[flow.key]
        del flow.source.flows[flow]
        del flow.target.flows[flow]
        flow.end_ns = -1  # its entries in the queue are stale

    def _share(self, ports: Iterable[_Port[Key]], now_ns: int) -> None:
        """Set the rates of all flows that these ports are connected with, by progressive filling."""
        flows = _connected(ports)
        spare: dict[_Port[Key], float] = {}
        waiting: dict[_Port[Key], int] = {}
        for flow in flows:
            for port in (flow.source, flow.target):
                spare[port] = port.bytes_per_ns / port.factor
                waiting[port] = waiting.get(port, 0) + 1
        while waiting:
            tightest = min(waiting, key=lambda port: spare[port] / waiting[port])
            rate = spare[tightest] / waiting[tightest]
            for flow in [flow for flow in tightest.flows if flow in flows]:
                del flows[flow]
                self._set_rate(flow, rate, now_ns)
                for port in (flow.source, flow.target):
                    spare[port] = max(0.0, spare[port] - rate)
                    waiting[port] -= 1
                    if not waiting[port]:
                        del waiting[port]

    def _set_rate(self, flow: _Flow[Key], rate: float, now_ns: int) -> None:
        flow.left_bytes -= flow.rate * (now_ns - flow.since_ns)
        flow.since_ns = now_ns
        flow.rate = rate
        # Rounded up: a flow is never faster than its rate.
        end_ns = now_ns - int(-max(0.0, flow.left_bytes) // rate)
        if end_ns != flow.end_ns:
            flow.end_ns = end_ns
            self._sequence += 1
            heapq.heappush(self._queue, (end_ns, self._sequence, flow))


def _connected(ports: Iterable[_Port[Key]]) -> dict[_Flow[Key], None]:
    """All flows that can be reached from these ports over shared ports, in an order that runs repeat."""
    flows: dict[_Flow[Key], None] = {}
    seen = dict.fromkeys(ports)
    queue = list(seen)
    while queue:
        for flow in queue.pop().flows:
            if flow not in flows:
                flows[flow] = None
                for port in (flow.source, flow.target):
                    if port not in seen:
                        seen[port] = None
                        queue.append(port)
    return flows
