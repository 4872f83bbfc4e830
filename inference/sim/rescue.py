"""Ways out where KV memory is full of caches that all wait for more of it.

Batching policies that reserve a prompt's memory and later its output's (Splitwise's) can fill a replica with prompts none
of whose outputs fits; transfers can fill a target in the same way; and two replicas can be full of caches for each other.
Nothing would ever move again. Real engines give the youngest cache up and prefill it anew (vLLM calls it preemption by
recomputation); so does this. It is a last resort, taken only where nothing runs and nothing is under way that would give
memory back, and results say how often.
"""

from typing import TYPE_CHECKING

from inference.domain.request import Phase
from inference.policies.batching.queue import Stage
from inference.sim.job import Job, Step
from inference.sim.replica import Replica

if TYPE_CHECKING:
    from inference.sim.cluster import Cluster

FIRST = 1 << 40
"""Rounds that a rescued stage counts as passed over: it goes before all others."""


def rescue(cluster: "Cluster", replica: Replica) -> None:
    """Let the oldest decode that waits at an idle replica run, if only waiting decodes hold its memory."""
    queue = replica.queue
    if replica.busy or not replica.serving or len(queue.waiting) == len(queue.prefills):
        return
    decodes = sorted(
        [one for one in queue.waiting if one.ready and one.phase is Phase.DECODE], key=_age
    )
    held_bytes = sum([one.job.kv_bytes for one in decodes])
    if not decodes or held_bytes != queue.kv_used_bytes - replica.spec.model.weights_bytes:
        return  # a cache is on its way, in or out: its arrival looks again
    first = decodes[0]
    evicted = False
    while queue.kv_used_bytes + first.kv_bytes > queue.kv_capacity_bytes and len(decodes) > 1:
        victim = decodes.pop()
        queue.leave(victim)
        cluster.evict(victim.job)
        evicted = True
    if first.preemptions >= FIRST and not evicted:
        return  # it was let go first before, and has room: the policy does not want what could run: the audit will say so
    queue.waiting.remove(first)
    queue.waiting.insert(0, first)
    first.preemptions = FIRST
    replica.wake()


def make_room(cluster: "Cluster", job: Job) -> bool:
    """Give up caches at the target of a transfer that wait for others to move, if these wait for ever.

    Returns:
        Whether the transfer has room now.
    """
    target = cluster.replicas[job.decode_replica]
    if target.busy or cluster.replicas[job.prefill_replica].busy or not _stuck(cluster, target):
        return False
    queue = target.queue
    victims = [
        one
        for one in cluster.jobs.values()
        if one.step is Step.SENDING and one.prefill_replica == target.index
    ]
    victims.sort(key=_arrival)
    while victims and queue.kv_used_bytes + job.kv_bytes > queue.kv_capacity_bytes:
        cluster.evict(victims.pop())
    if queue.kv_used_bytes + job.kv_bytes <= queue.kv_capacity_bytes:
        return True
    cluster.stalled(target.index, cluster.events.now_ns)
    return False


def _stuck(cluster: "Cluster", target: Replica) -> bool:
    """Whether no replica that this one waits for, directly or over others, runs or sends or receives anything."""
    waits_for: dict[int, set[int]] = {}
    moving: set[int] = set()
    for job in cluster.jobs.values():
        if job.step is Step.SENDING:
            waits_for.setdefault(job.prefill_replica, set()).add(job.decode_replica)
        elif job.step is Step.MOVING:
            moving.update((job.prefill_replica, job.decode_replica))
    seen = {target.index}
    open_ends = [target.index]
    while open_ends:
        index = open_ends.pop()
        replica = cluster.replicas[index]
        if replica.busy or not replica.serving or index in moving:
            return False
        fresh = waits_for.get(index, set()) - seen
        seen |= fresh
        open_ends.extend(fresh)
    return True


def _arrival(job: Job) -> tuple[int, int]:
    return (job.request.arrival_ns, job.request.request_id)


def _age(stage: Stage) -> tuple[int, int]:
    return _arrival(stage.job)
