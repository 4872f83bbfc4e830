"""Faults that a scenario injects: machines lost for a while, machines and links that are slow."""

from dataclasses import dataclass

from inference.errors import InferenceError
from inference.sim import relocation
from inference.sim.cluster import Cluster


@dataclass(frozen=True, slots=True)
class MachineLoss:
    """A replica's machine fails at `at_ns` and is back, empty, after `duration_ns` (0: never).

    It draws idle power meanwhile: its GPUs are still held, and paid for.
    """

    replica: int
    at_ns: int
    duration_ns: int = 0


@dataclass(frozen=True, slots=True)
class Straggler:
    """A replica's iterations take `factor` times as long from `at_ns` on, for `duration_ns` (0: to the end)."""

    replica: int
    factor: float
    at_ns: int = 0
    duration_ns: int = 0


@dataclass(frozen=True, slots=True)
class SlowLink:
    """A replica's link takes `factor` times as long from `at_ns` on, for `duration_ns` (0: to the end)."""

    replica: int
    factor: float
    at_ns: int = 0
    duration_ns: int = 0


Fault = MachineLoss | Straggler | SlowLink


def inject(cluster: Cluster, fault: Fault) -> None:
    """Schedule a fault.

    Raises:
        InferenceError: there is no such replica at the start, or a factor is not positive.
    """
    if not 0 <= fault.replica < len(cluster.replicas):
        raise InferenceError(
            f"fault: there is no replica {fault.replica}; the cluster starts with 0 … {len(cluster.replicas) - 1}"
        )
    events = cluster.events
    if isinstance(fault, MachineLoss):
        events.schedule(fault.at_ns, _lose, (cluster, fault.replica))
        if fault.duration_ns:
            events.schedule(fault.at_ns + fault.duration_ns, _return, (cluster, fault.replica))
        return
    if not fault.factor > 0:
        raise InferenceError(f"fault: a factor of time must be above 0, not {fault.factor}")
    handler = _drag if isinstance(fault, Straggler) else _slow
    events.schedule(fault.at_ns, handler, (cluster, fault.replica, fault.factor))
    if fault.duration_ns:
        events.schedule(fault.at_ns + fault.duration_ns, handler, (cluster, fault.replica, 1.0))


def _lose(lost: tuple[Cluster, int], sequence: int) -> None:
    relocation.fail(*lost)


def _return(back: tuple[Cluster, int], sequence: int) -> None:
    relocation.recover(*back)


def _slow(change: tuple[Cluster, int, float], sequence: int) -> None:
    cluster, index, factor = change
    cluster.transfers.slow(index, factor)


def _drag(change: tuple[Cluster, int, float], sequence: int) -> None:
    cluster, index, factor = change
    cluster.replicas[index].drag(factor)
