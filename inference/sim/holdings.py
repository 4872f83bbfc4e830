"""What a routed request holds at its replicas, and how it gives that back before its time."""

from inference.sim.columns import Columns
from inference.sim.events import EventQueue
from inference.sim.job import Job, Step
from inference.sim.replica import Replica


def give_back(job: Job, replicas: list[Replica], columns: Columns, events: EventQueue) -> None:
    """Take a routed request out of the columns and the KV memory of those of its replicas that have not failed.

    Its stages must have left the queues of replicas that live. A replica that got memory back looks for work at this
    very time, after what is going on.
    """
    step, pledge, reckoning = job.step, job.pledge, columns.reckoning
    first, second = pledge.prefill, pledge.decode
    source, target = replicas[first], replicas[second]
    if target.incarnation == job.incarnations[1]:
        reckoning.completed(pledge)
        if step in (Step.MOVING, Step.DECODING):
            target.queue.kv_used_bytes -= job.kv_bytes
            events.schedule(events.now_ns, _look, target)
    if source.incarnation == job.incarnations[0] and step < Step.DECODING:
        source.queue.kv_used_bytes -= job.kv_bytes
        if step is Step.PREFILLING:
            reckoning.prefilled(pledge)
        reckoning.moved(pledge)
        events.schedule(events.now_ns, _look, source)
    job.kv_bytes = 0


def _look(replica: Replica, sequence: int) -> None:
    replica.wake()
