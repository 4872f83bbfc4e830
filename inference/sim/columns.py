"""The simulator's `ClusterView`: lists that the cluster writes and policies read."""

from collections.abc import Callable, Sequence
from typing import overload

from inference.domain.reckoning import Reckoning
from inference.domain.request import Phase
from inference.domain.view import Resident
from inference.policies.batching.queue import Stage, StageState
from inference.sim.job import Job
from inference.sim.replica import Replica


class _Gauge(Sequence[int]):
    """A column that is read from the replicas when somebody looks: cheaper than keeping it for those who do not."""

    __slots__ = ("_of", "_replicas")

    def __init__(self, replicas: list[Replica], of: Callable[[Replica], int]) -> None:
        self._replicas = replicas
        self._of = of

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self._of(one) for one in self._replicas[index]]
        return self._of(self._replicas[index])

    def __len__(self) -> int:
        return len(self._replicas)


class _Energy(Sequence[float]):
    """Energy by replica, booked up to the moment of the look."""

    __slots__ = ("_replicas",)

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return [one.energy_j for one in self._replicas[index]]
        return self._replicas[index].energy_j

    def __len__(self) -> int:
        return len(self._replicas)


class Columns:
    """Implements `domain.view.ClusterView`; the attributes are documented there."""

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas
        self.accepting: list[bool] = []
        self.role: list[int] = []
        self.pool: list[int] = []
        self.model_id: list[int] = []
        self.tp: list[int] = []
        self.clock_mhz: list[int] = []
        self.reckoning = Reckoning()
        self.pending_tokens = self.reckoning.pending_tokens
        self.kv_committed_bytes = self.reckoning.kv_committed_bytes
        self.prompt_tokens_total = self.reckoning.prompt_tokens_total
        self.output_tokens_total = self.reckoning.output_tokens_total
        self.kv_capacity_bytes: list[int] = []
        self.kv_bytes_per_token: list[int] = []
        self.waiting_requests: Sequence[int] = _Gauge(replicas, _waiting)
        self.running_requests: Sequence[int] = _Gauge(replicas, _running)
        self.energy_j: Sequence[float] = _Energy(replicas)

    def add(self, replica: Replica, clock_mhz: int, accepting: bool) -> None:
        """A replica has come, with the next index."""
        spec = replica.spec
        self.accepting.append(accepting)
        self.role.append(spec.role)
        self.pool.append(spec.pool)
        self.model_id.append(spec.model_id)
        self.tp.append(spec.tp)
        self.clock_mhz.append(clock_mhz)
        self.reckoning.add(spec.model.weights_bytes)
        self.kv_capacity_bytes.append(replica.queue.kv_capacity_bytes)
        self.kv_bytes_per_token.append(spec.model.kv_bytes_per_token)

    def residents(self, replica: int) -> Sequence[Resident]:
        """Requests at a replica, oldest first."""
        queue = self._replicas[replica].queue
        found: dict[int, Resident] = {}
        for stage in (*queue.decoding, *queue.prefilling, *queue.waiting):
            job: Job = stage.job
            request = job.request
            if request.request_id not in found:
                found[request.request_id] = _resident(job, stage, queue.decoded)
        return sorted(found.values(), key=_arrival)

    def power_w(self, replica: int) -> float:
        """Power of a replica's GPUs now."""
        return self._replicas[replica].power_w


def _resident(job: Job, stage: Stage, decoded: int) -> Resident:
    request = job.request
    started = job.prefilled or (
        stage.phase is Phase.PREFILL and stage.state is not StageState.WAITING
    )
    generated = 0
    if job.prefilled:
        decode = job.decode
        left = 0 if decode is None else decode.left
        if decode is not None and decode.state is StageState.RUNNING:
            left = decode.finish_at - decoded
        generated = job.output_tokens - left
    return Resident(
        request.request_id,
        request.arrival_ns,
        request.prompt_tokens,
        request.output_tokens,
        generated,
        started,
    )


def _arrival(resident: Resident) -> tuple[int, int]:
    return (resident.arrival_ns, resident.request_id)


def _waiting(replica: Replica) -> int:
    return len(replica.queue.waiting)


def _running(replica: Replica) -> int:
    return replica.queue.batch_size
