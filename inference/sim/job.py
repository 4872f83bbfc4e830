"""A request on its way through the cluster."""

from enum import IntEnum

from inference.domain.request import Request
from inference.policies.batching.queue import Stage


class Step(IntEnum):
    """How far a request has come; says what it holds where."""

    HELD = 0
    """At the router."""
    PREFILLING = 1
    """Its prefill waits or runs at the first replica."""
    SENDING = 2
    """Its cache waits at the first replica for memory at the second."""
    MOVING = 3
    """Its cache is on its way: memory is taken at both."""
    DECODING = 4
    """Its decode waits or runs at the second replica."""
    OVER = 5
    """Completed, refused or given up."""


class Job:
    """One request's place and holdings.

    Attributes:
        request: as its policies see it.
        output_tokens: what it will truly generate; a policy may have been told another number.
        prefill_replica, decode_replica: of its route; -1 before it has one.
        incarnations: of those two replicas when it was routed: another number later means that they failed in between.
        kv_bytes: KV memory that it holds at the replica that it runs at.
        prefill_kv_bytes, decode_kv_bytes: what its stages reserve there.
        prefill, decode: its stages, once made; a decode elsewhere is made when its cache arrives.
        step: how far it has come.
        attempt: how often it has begun anew.
    """

    __slots__ = (
        "attempt",
        "decode",
        "decode_kv_bytes",
        "decode_replica",
        "incarnations",
        "kv_bytes",
        "output_tokens",
        "prefill",
        "prefill_kv_bytes",
        "prefill_replica",
        "request",
        "step",
    )

    def __init__(self, request: Request, output_tokens: int) -> None:
        self.request = request
        self.output_tokens = output_tokens
        self.prefill_replica = -1
        self.decode_replica = -1
        self.incarnations = (0, 0)
        self.kv_bytes = 0
        self.prefill_kv_bytes = 0
        self.decode_kv_bytes = 0
        self.prefill: Stage | None = None
        self.decode: Stage | None = None
        self.step = Step.HELD
        self.attempt = 0

    @property
    def prefilled(self) -> bool:
        """Whether its first token exists."""
        return self.step > Step.PREFILLING
