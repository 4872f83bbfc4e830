"""Laws that every finished run keeps, whatever its policies did. A run that breaks one is no result.

Checked on columns after the run, so the check costs next to nothing and is always on.
"""

import numpy as np

from inference.errors import InferenceError
from inference.results.run import RequestColumns, RunResult, Status
from inference.sim.cluster import Cluster

ENERGY_TOLERANCE = 1e-6
"""Relative: sums of millions of floats in different orders."""


class AuditError(InferenceError):
    """A run has broken a law of conservation; the message lists which. A policy or the simulator is wrong."""


def audit(cluster: Cluster, result: RunResult, complete: bool) -> None:
    """Check a run.

    Args:
        cluster: as the run left it.
        result: of the run.
        complete: whether it was to run to the last token (no end was set).

    Raises:
        AuditError: with every law that is broken.
    """
    broken = [
        *_times(result.requests),
        *_tokens(result),
        *_energy(cluster, result),
        *(_emptiness(cluster, result) if complete else ()),
    ]
    if broken:
        raise AuditError(f"{result.name} (seed {result.seed}): " + "; ".join(broken))


def _times(requests: RequestColumns) -> list[str]:
    """Arrival, prefill, first token, decode, completion: in this order, for each that completed."""
    done = requests.status == Status.COMPLETED
    decoded = done & (requests.output_tokens > 1)
    moved = requests.transfer_ns
    laws = {
        "prefills begun before arrival": done & (requests.prefill_start_ns < requests.arrival_ns),
        "first tokens before their prefill": done
        & (requests.first_token_ns <= requests.prefill_start_ns),
        "decodes begun before the first token": decoded
        & (requests.decode_start_ns < requests.first_token_ns + moved),
        "completions before the decode": decoded
        & (requests.completion_ns <= requests.decode_start_ns),
        "single tokens that took a decode": done
        & (requests.output_tokens == 1)
        & (requests.completion_ns != requests.first_token_ns),
    }
    return [f"{np.count_nonzero(rows)} {law}" for law, rows in laws.items() if rows.any()]


def _tokens(result: RunResult) -> list[str]:
    """Replicas made as many tokens as the completed requests have."""
    done = result.requests.status == Status.COMPLETED
    promised = int(result.requests.output_tokens[done].sum())
    made = int(result.replicas.output_tokens.sum())
    return [] if made == promised else [f"{made} output tokens made for {promised} promised"]


def _energy(cluster: Cluster, result: RunResult) -> list[str]:
    """Energy of replicas = energy of requests + energy of idling."""
    total_j = float(result.replicas.energy_j.sum())
    running_j = sum(
        one.in_batch_energy_j(cluster.replicas[index].queue)
        for index, one in enumerate(cluster.ledger.replicas)
    )
    idle_j = sum(one.idle_energy_j for one in cluster.ledger.replicas)
    shared_j = float(result.requests.energy_j.sum()) + running_j
    if abs(total_j - shared_j - idle_j) <= ENERGY_TOLERANCE * max(1.0, total_j):
        return []
    return [f"{total_j:.6g} J drawn, {shared_j:.6g} J charged to requests and {idle_j:.6g} J idle"]


def _emptiness(cluster: Cluster, result: RunResult) -> list[str]:
    """Nothing is left behind."""
    left = int(np.count_nonzero(result.requests.status == Status.UNFINISHED))
    broken = []
    if left:
        held = len(cluster.lobby)
        broken.append(
            f"{left} requests never finished ({held} of them held by the routing policy), though nothing was left to do"
        )
        return broken
    columns = cluster.columns
    for replica in cluster.replicas:
        index, weights = replica.index, replica.spec.model.weights_bytes
        if not columns.reckoning.settled(index):
            broken.append(f"replica {index} has tokens or KV memory promised to nobody")
        if replica.queue.kv_used_bytes != weights:
            broken.append(f"replica {index} holds KV memory of nobody")
    return broken
