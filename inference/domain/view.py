"""What a policy may know of the cluster: columns that it reads and never writes.

The driver (simulator or gateway) keeps the columns. Index i of each column is replica i; a replica keeps its index for
life. Those marked *reckoned* are counted by the driver's own assignments and completions, never asked of the replica, so
that a router in front of real engines has them without delay (Splitwise, section 4.2; llm-d-router issue 298 tells what
stale metrics do).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Resident(NamedTuple):
    """A request that is at a replica now.

    Attributes:
        request_id: its trace index.
        arrival_ns: at the router.
        prompt_tokens, output_tokens: as in `Request`; the output is the predicted one.
        generated_tokens: so far; 0 while its prefill has not ended.
        started: whether its prefill has begun.
    """

    request_id: int
    arrival_ns: int
    prompt_tokens: int
    output_tokens: int
    generated_tokens: int
    started: bool


class ClusterView(Protocol):
    """Read-only columns over all replicas that ever were.

    Attributes:
        accepting: whether new requests may go there (ready, not draining, not failed).
        role, pool, model_id, tp: of the replica's spec, as it is now.
        clock_mhz: SM clock in force, cap and brake applied.
        pending_tokens: *reckoned*; prompt tokens routed there and not yet prefilled, plus 1 for each request that is to
            decode or decodes there.
        kv_committed_bytes: *reckoned*; KV memory promised to requests routed there, for prompt and whole output, plus
            the model's weights.
        kv_capacity_bytes: memory of its GPUs.
        kv_bytes_per_token: of its model.
        waiting_requests: requests there that have not started to prefill, or wait to decode.
        running_requests: requests in its batch.
        prompt_tokens_total, output_tokens_total: *reckoned* counters of what was routed there since the start.
        energy_j: of its GPUs since the start; measured or modelled as the driver says.
    """

    @property
    def accepting(self) -> Sequence[bool]: ...
    @property
    def role(self) -> Sequence[int]: ...
    @property
    def pool(self) -> Sequence[int]: ...
    @property
    def model_id(self) -> Sequence[int]: ...
    @property
    def tp(self) -> Sequence[int]: ...
    @property
    def clock_mhz(self) -> Sequence[int]: ...
    @property
    def pending_tokens(self) -> Sequence[int]: ...
    @property
    def kv_committed_bytes(self) -> Sequence[int]: ...
    @property
    def kv_capacity_bytes(self) -> Sequence[int]: ...
    @property
    def kv_bytes_per_token(self) -> Sequence[int]: ...
    @property
    def waiting_requests(self) -> Sequence[int]: ...
    @property
    def running_requests(self) -> Sequence[int]: ...
    @property
    def prompt_tokens_total(self) -> Sequence[int]: ...
    @property
    def output_tokens_total(self) -> Sequence[int]: ...
    @property
    def energy_j(self) -> Sequence[float]: ...

    def residents(self, replica: int) -> Sequence[Resident]:
        """Requests at a replica now, oldest first. Costs time in proportion to their number."""
        ...

    def power_w(self, replica: int) -> float:
        """Power of a replica's GPUs at this moment."""
        ...
