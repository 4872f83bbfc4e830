"""How KV caches travel between two replicas in the simulator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from inference.sim.events import EventQueue
from inference.sim.job import Job

Arrived = Callable[[Job], None]
GIB = 1024**3


class Transfers(Protocol):
    """Carries KV caches. The cluster has reserved memory at the target before it asks."""

    @property
    def retry_ns(self) -> int:
        """How long a transfer waits for memory at its target before it looks again."""
        ...

    def begin(self, job: Job, kv_bytes: int, prefill_ns: int, arrived: Arrived) -> None:
        """Move a job's cache of `kv_bytes`, whose prefill took `prefill_ns` and ends now; `arrived` is called at its end."""
        ...


@dataclass(slots=True)
class PrivateTransfers:
    """A link of its own for every transfer, all of the cache after the prefill: what splitwise-sim does.

    Attributes:
        events: the simulation's.
        bytes_per_s: of each transfer (its default: 200 GiB/s).
    """

    events: EventQueue
    bytes_per_s: float = 200.0 * GIB
    retry_ns: int = 1_000_000_000

    def begin(self, job: Job, kv_bytes: int, prefill_ns: int, arrived: Arrived) -> None:
        """Takes bytes / bandwidth, whatever else goes on."""
        duration_ns = round(kv_bytes / self.bytes_per_s * 1e9)
        self.events.schedule(self.events.now_ns + duration_ns, _call, (arrived, job))


def _call(arrival: tuple[Arrived, Job], sequence: int) -> None:
    arrived, job = arrival
    arrived(job)
