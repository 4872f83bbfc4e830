"""How KV caches travel between two replicas in the simulator."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from inference.models.interconnect import Interconnect
from inference.models.kv_transfer import SPLITWISE_SIM_BYTES_PER_S, KvPath, kv_path
from inference.policies.protocols import DisaggregationPolicy
from inference.sim.events import EventQueue
from inference.sim.job import Job
from inference.sim.replica import Replica

Arrived = Callable[[Job, int], None]
"""Told the job and the attempt of it that the cache was of: a job that began anew wants no old cache."""


class Transfers(Protocol):
    """Carries KV caches. The cluster has reserved memory at the target before it asks."""

    @property
    def retry_ns(self) -> int:
        """How long a transfer waits for memory at its target before it looks again."""
        ...

    def begin(self, job: Job, kv_bytes: int, prefill_ns: int, arrived: Arrived) -> None:
        """Move a job's cache, whose prefill took `prefill_ns` and ends now; `arrived` is called when all of it is there."""
        ...

    def slow(self, replica: int, factor: float) -> None:
        """A replica's link takes `factor` times as long from now on; 1 mends it."""
        ...


@dataclass(slots=True)
class PrivateTransfers:
    """A link of its own for every transfer, all of the cache after the prefill: what splitwise-sim does.

    Attributes:
        events: the simulation's.
        bytes_per_s: of each transfer.
    """

    events: EventQueue
    bytes_per_s: float = float(SPLITWISE_SIM_BYTES_PER_S)
    retry_ns: int = 1_000_000_000
    _factors: dict[int, float] = field(default_factory=dict)

    def begin(self, job: Job, kv_bytes: int, prefill_ns: int, arrived: Arrived) -> None:
        """Takes bytes / bandwidth, whatever else goes on."""
        duration = kv_bytes / self.bytes_per_s * 1e9
        if self._factors:
            ends = (job.prefill_replica, job.decode_replica)
            duration *= max(self._factors.get(replica, 1.0) for replica in ends)
        arrival = (arrived, job, job.attempt)
        self.events.schedule(self.events.now_ns + round(duration), _call, arrival)

    def slow(self, replica: int, factor: float) -> None:
        """For transfers that begin from now on."""
        self._factors[replica] = factor


def _call(arrival: tuple[Arrived, Job, int], sequence: int) -> None:
    arrived, job, attempt = arrival
    arrived(job, attempt)


Flow = tuple[int, int]
"""Request id and attempt."""


class SharedTransfers:
    """Replicas' own links, shared by all transfers that use them; layer by layer where the policy says so.

    A layer-wise transfer is modelled from the end of its prefill: the part that the link could have sent by then is taken
    as sent, and loads nobody's link; the rest competes. At least the constant of the last layer is always paid.

    Attributes:
        retry_ns: as in `Transfers`.
    """

    def __init__(
        self, events: EventQueue, replicas: list[Replica], policy: DisaggregationPolicy
    ) -> None:
        self.retry_ns = 10_000_000
        self._events = events
        self._replicas = replicas
        self._policy = policy
        self._links: Interconnect[Flow] = Interconnect()
        self._linked: set[int] = set()
        self._arrivals: dict[Flow, tuple[Arrived, Job, int]] = {}
        self._expected = 0

    def begin(self, job: Job, kv_bytes: int, prefill_ns: int, arrived: Arrived) -> None:
        """Queue what is left to send on both replicas' links."""
        now_ns, source, target = self._events.now_ns, job.prefill_replica, job.decode_replica
        spec = self._link(source).spec
        path = self._path(source, target)
        earliest_ns = now_ns
        if self._policy.layerwise(job.request.prompt_tokens, spec.gpu.name):
            kv_bytes = path.left_bytes(kv_bytes, prefill_ns)
            earliest_ns += path.residual_ns
        flow = (job.request.request_id, job.attempt)
        self._arrivals[flow] = (arrived, job, earliest_ns)
        self._links.start(flow, source, target, kv_bytes, now_ns)
        self._expect()

    def slow(self, replica: int, factor: float) -> None:
        """For transfers under way, too."""
        self._link(replica)
        self._links.set_factor(replica, factor, self._events.now_ns)
        self._expect()

    def _link(self, replica: int) -> Replica:
        found = self._replicas[replica]
        if replica not in self._linked:
            self._linked.add(replica)
            self._links.add_replica(replica, found.spec.gpu.link_bytes_per_s * found.spec.tp)
        return found

    def _path(self, source: int, target: int) -> KvPath:
        first, second = self._link(source).spec, self._link(target).spec
        return kv_path(first.gpu, first.tp, second.gpu, second.tp, first.model.layers)

    def _expect(self) -> None:
        due_ns = self._links.next_ns()
        if due_ns is not None:
            self._expected = self._events.schedule(
                max(due_ns, self._events.now_ns), self._finish, None
            )

    def _finish(self, nothing: None, sequence: int) -> None:
        if sequence != self._expected:
            return
        now_ns = self._events.now_ns
        for flow in self._links.finished(now_ns):
            arrived, job, earliest_ns = self._arrivals.pop(flow)
            arrival = (arrived, job, flow[1])
            self._events.schedule(max(now_ns, earliest_ns), _call, arrival)
        self._expect()
