"""Which waiting stages have room in memory, in order of service: what the baselines below share.

A prompt is admitted only when the memory of its whole output is free as well, so that an admitted request never has to
give memory back.
"""

from inference.policies.batching.queue import DECODE, BatchQueue, Stage


def free_bytes(queue: BatchQueue) -> int:
    """KV memory that nobody holds and no running prefill's decode has been promised."""
    promised = sum([stage.reserve_bytes for stage in queue.prefilling])
    return queue.kv_capacity_bytes - queue.kv_used_bytes - promised


def ready_decodes(queue: BatchQueue, stages_max: int, kv_bytes: int) -> list[Stage]:
    """Decodes that wait and may run, oldest first, as many as find room."""
    admitted: list[Stage] = []
    if len(queue.waiting) == len(queue.prefills):
        return admitted
    waiting = [one for one in queue.waiting if one.phase is DECODE and one.ready]
    for stage in sorted(waiting, key=_arrival):
        if len(admitted) >= stages_max or stage.kv_bytes > kv_bytes:
            break
        kv_bytes -= stage.kv_bytes
        admitted.append(stage)
    return admitted


def prompts(
    queue: BatchQueue, stages_max: int, tokens_max: int, kv_bytes: int, *, cut: bool
) -> list[Stage]:
    """Prompts that wait, first come first, within a number of tokens; sets the tokens that each takes part with.

    Args:
        queue: of the replica.
        stages_max: how many at most.
        tokens_max: of all together. One prompt alone may be longer, unless `cut`.
        kv_bytes: memory that is free.
        cut: give the last one only the tokens that are left (Sarathi's chunked prefill).
    """
    admitted: list[Stage] = []
    for stage in queue.prefills:
        need = stage.kv_bytes + stage.reserve_bytes
        if len(admitted) >= stages_max or need > kv_bytes:
            break
        if cut:
            stage.step_tokens = min(stage.tokens, tokens_max)
            if stage.step_tokens < 1:
                break
        elif admitted and stage.tokens > tokens_max:
            break
        else:
            stage.step_tokens = stage.tokens
        tokens_max -= stage.step_tokens
        kv_bytes -= need
        admitted.append(stage)
    return admitted


def _arrival(stage: Stage) -> int:
    return stage.arrival_ns
