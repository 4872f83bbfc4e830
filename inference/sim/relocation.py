"""Requests that change their replica: when it fails, when its GPUs are sharded anew, when a policy moves them."""

from collections.abc import Sequence

from inference.domain.request import Phase
from inference.errors import PolicyError
from inference.policies.batching.queue import Stage, StageState
from inference.results.run import Status
from inference.sim.cluster import Cluster
from inference.sim.holdings import give_back
from inference.sim.job import Job, Step
from inference.sim.replica import Replica


def _stages(replica: Replica) -> list[Stage]:
    queue = replica.queue
    return [*queue.decoding, *queue.prefilling, *queue.waiting]


def _jobs(stages: Sequence[Stage]) -> list[Job]:
    """Their requests, each once, oldest first."""
    jobs = {stage.job.request.request_id: stage.job for stage in stages}
    return [jobs[row] for row in sorted(jobs)]


def fail(cluster: Cluster, index: int) -> None:
    """A replica's machine is lost: its requests begin anew elsewhere (Splitwise, section 4.4). Losses may overlap."""
    replica, columns = cluster.replicas[index], cluster.columns
    cluster.lost[index] = cluster.lost.get(index, 0) + 1
    if cluster.ledger.replicas[index].stopped_ns >= 0:
        return  # its GPUs were given back: somebody else's loss
    jobs = _jobs(_stages(replica)) + [
        job
        for job in cluster.jobs.values()
        if job.step in (Step.SENDING, Step.MOVING)
        and index in (job.prefill_replica, job.decode_replica)
    ]
    replica.halt(cluster.events.now_ns)
    for stage in [*replica.queue.decoding]:
        replica.expel(stage)  # charges its energy so far
    replica.reset(cluster.events.now_ns)
    columns.accepting[index] = False
    columns.reckoning.lost(index)
    cluster.rerouted()
    for job in sorted(jobs, key=lambda one: one.request.request_id):
        cluster.restart(job)
    if cluster.draining:
        cluster.check_drains()


def recover(cluster: Cluster, index: int) -> None:
    """A failed replica serves again, empty, once all its losses are over; a stopped one never."""
    cluster.lost[index] -= 1
    if cluster.lost[index] or index in cluster.stopping:
        return
    cluster.columns.accepting[index] = True
    cluster.replicas[index].resume(cluster.events.now_ns)
    cluster.rerouted()


def evacuate(cluster: Cluster, sources: Sequence[int], targets: Sequence[int]) -> None:
    """Carry everything that replicas hold over to others on the same GPUs, caches included; the sources retire.

    A prefill that was running begins anew; decodes go on where they were. Each request goes to the target with the
    fewest pending tokens that has memory for it; one that none has begins anew at the router.
    """
    now_ns, columns = cluster.events.now_ns, cluster.columns
    for index in sources:
        source = cluster.replicas[index]
        source.halt(now_ns)
        stages = _stages(source)
        left = {id(stage.job): stage for stage in stages if stage.phase is Phase.DECODE}
        for stage in [*source.queue.decoding]:
            source.expel(stage)
        columns.accepting[index] = False
        fresh = _jobs(stages)
        source.reset(now_ns)
        source.retire(now_ns)
        columns.reckoning.lost(index)
        for job in fresh:
            local = job.prefill_replica == index or job.prefilled
            target = (
                _roomiest(cluster, targets, job) if local and job.decode_replica == index else None
            )
            if target is None:
                cluster.restart(job)
            else:
                _carry(cluster, job, left.get(id(job)), target)
    cluster.rerouted()


def _roomiest(cluster: Cluster, targets: Sequence[int], job: Job) -> Replica | None:
    pending = cluster.columns.pending_tokens
    need = job.pledge.prompt_bytes + job.output_bytes
    for index in sorted(targets, key=lambda one: (pending[one], one)):
        queue = cluster.replicas[index].queue
        committed = max(cluster.columns.kv_committed_bytes[index], queue.kv_used_bytes)
        if committed + need <= queue.kv_capacity_bytes:
            return cluster.replicas[index]
    return None


def _carry(cluster: Cluster, job: Job, decode: Stage | None, target: Replica) -> None:
    """Place a request at a replica as it is: columns, memory and stages."""
    columns, index, row = cluster.columns, target.index, job.request.request_id
    job.pledge = job.pledge._replace(prefill=index, decode=index)
    job.incarnations = (target.incarnation, target.incarnation)
    columns.reckoning.carried(job.pledge, job.prefilled)
    cluster.ledger.decode_replica[row] = index
    target.queue.kv_used_bytes += job.kv_bytes
    if decode is not None:
        decode.state = (
            StageState.BLOCKED if decode.state is not StageState.WAITING else decode.state
        )
        target.queue.enter(decode)
        if decode.state is StageState.BLOCKED:
            target.queue.blocked.append(decode)
    if not job.prefilled and job.prefill is not None:
        cluster.ledger.prefill_replica[row] = index
        again = job.prefill
        again.tokens = again.step_tokens = job.request.prompt_tokens
        again.context_tokens = 0
        again.state = StageState.WAITING
        target.queue.enter(again)


def unstarted(replica: Replica, request_id: int) -> Job | None:
    """A request whose prefill waits at the replica and has not begun; None where there is no such."""
    for stage in replica.queue.prefills:
        if stage.job.request.request_id == request_id and stage.state is StageState.WAITING:
            job: Job = stage.job
            return job
    return None


def withdraw(cluster: Cluster, job: Job) -> None:
    """Take an un-started request out of its replica's queue and out of the columns."""
    replica = cluster.replicas[job.prefill_replica]
    for stage in (job.prefill, job.decode):
        if stage is not None:
            replica.queue.leave(stage)
    give_back(job, cluster.replicas, cluster.columns, cluster.events)


def move(cluster: Cluster, request_id: int, source: int, target: int) -> bool:
    """Take an un-started request elsewhere; False where it has started or gone meanwhile, which is no fault.

    Raises:
        PolicyError: there is no such target, or it takes no requests.
    """
    if not 0 <= target < len(cluster.replicas):
        raise PolicyError(f"MoveRequest: there is no replica {target}")
    job = unstarted(cluster.replicas[source], request_id)
    if job is None:
        return False
    withdraw(cluster, job)
    job.prefill = job.decode = None
    cluster.place(job, target, target)
    if cluster.draining:
        cluster.check_drains()
    return True


def reorder(replica: Replica, request_ids: Sequence[int]) -> None:
    """Prefill waiting requests in this order; those not named keep theirs, behind."""
    rank = {row: place for place, row in enumerate(request_ids)}
    replica.queue.prefills.sort(key=lambda stage: rank.get(stage.job.request.request_id, len(rank)))


def squash(cluster: Cluster, request_id: int, index: int) -> bool:
    """Give up an un-started request; False where it has started or gone meanwhile."""
    job = unstarted(cluster.replicas[index], request_id)
    if job is None:
        return False
    withdraw(cluster, job)
    cluster.close(job, Status.SQUASHED)
    return True
