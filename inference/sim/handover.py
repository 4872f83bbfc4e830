"""The way of a request's KV cache from the replica that prefilled it to the one that decodes it."""

from typing import TYPE_CHECKING

from inference.policies.batching.queue import Stage
from inference.sim import rescue
from inference.sim.job import DECODING, MOVING, SENDING, Job

if TYPE_CHECKING:
    from inference.sim.cluster import Cluster


class Handover:
    """Sends caches once their targets have memory, and makes decodes of them when they are there."""

    __slots__ = ("_cluster",)

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster

    def begin(self, job: Job) -> None:
        """A prefill has ended whose decode is elsewhere."""
        job.step = SENDING
        self._send((job, job.attempt), 0)

    def _send(self, sent: tuple[Job, int], sequence: int) -> None:
        """Move a cache once its target has memory for it."""
        cluster = self._cluster
        job, attempt = sent
        if job.attempt != attempt or job.step is not SENDING or not self._both_live(job):
            return
        queue = cluster.replicas[job.decode_replica].queue
        full = queue.kv_used_bytes + job.kv_bytes > queue.kv_capacity_bytes
        if full and not rescue.make_room(cluster, job):
            later_ns = cluster.events.now_ns + cluster.transfers.retry_ns
            cluster.events.schedule(later_ns, self._send, sent)
            return
        queue.kv_used_bytes += job.kv_bytes
        job.step = MOVING
        row, ledger = job.request[0], cluster.ledger
        prefill_ns = ledger.first_token_ns[row] - ledger.prefill_start_ns[row]
        kv_bytes = job.request[2] * cluster.columns.kv_bytes_per_token[job.decode_replica]
        cluster.transfers.begin(job, kv_bytes, prefill_ns, self._arrived)

    def _arrived(self, job: Job, attempt: int) -> None:
        """The cache is there: free it at its source and decode."""
        if job.attempt != attempt or job.step is not MOVING or not self._both_live(job):
            return
        job.step = DECODING
        cluster = self._cluster
        now_ns, row = cluster.events.now_ns, job.request[0]
        cluster.ledger.transfer_ns[row] = now_ns - cluster.ledger.first_token_ns[row]
        source, held = job.prefill_replica, job.kv_bytes
        cluster.columns.reckoning.moved(job.pledge)
        # The target takes the stage before the source looks for work: splitwise-sim's order, which ties depend on.
        stage: Stage = cluster.decode_stage(job, ready=True)
        job.decode = stage
        cluster.replicas[job.decode_replica].arrive(stage, now_ns)
        cluster.replicas[source].release(held, now_ns)
        if cluster.draining:
            cluster.check_drains()

    def _both_live(self, job: Job) -> bool:
        """Whether neither replica has failed since the request was routed; if one has, the request begins anew."""
        replicas = self._cluster.replicas
        source, target = replicas[job.prefill_replica], replicas[job.decode_replica]
        if (source.incarnation, target.incarnation) == job.incarnations:
            return True
        self._cluster.restart(job)
        return False
