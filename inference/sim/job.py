"""A request on its way through the cluster."""

from enum import IntEnum

from inference.domain.reckoning import Pledge
from inference.domain.request import Request
from inference.policies.batching.queue import Stage

UNROUTED = Pledge(-1, -1, 0, 0, 0, 0)


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


# As in `policies.batching.queue`: globals for the hot path.
HELD, PREFILLING, SENDING, MOVING, DECODING, OVER = Step


class Job:
    """One request's place and holdings.

    Attributes:
        request: as its policies see it.
        output_tokens: what it will truly generate; a policy may have been told another number.
        pledge: its replicas and what it takes of them, once routed.
        incarnations: of the two replicas when it was routed: another number later means that they failed in between.
        output_bytes: KV memory that its decode will truly take, where its pledge has what was predicted.
        kv_bytes: KV memory that it holds at the replica that it runs at.
        prefill, decode: its stages, once made; a decode elsewhere is made when its cache arrives.
        step: how far it has come.
        attempt: how often it has begun anew.
    """

    __slots__ = (
        "attempt",
        "decode",
        "incarnations",
        "kv_bytes",
        "output_bytes",
        "output_tokens",
        "pledge",
        "prefill",
        "request",
        "step",
    )

    def __init__(self, request: Request, output_tokens: int) -> None:
        self.request = request
        self.output_tokens = output_tokens
        self.pledge = UNROUTED
        self.incarnations = (0, 0)
        self.output_bytes = 0
        self.kv_bytes = 0
        self.prefill: Stage | None = None
        self.decode: Stage | None = None
        self.step = HELD
        self.attempt = 0

    @property
    def prefilled(self) -> bool:
        """Whether its first token exists."""
        return self.step > Step.PREFILLING

    @property
    def prefill_replica(self) -> int:
        """Where it prefills; -1 before it has a route."""
        return self.pledge[0]

    @property
    def decode_replica(self) -> int:
        """Where it decodes; -1 before it has a route."""
        return self.pledge[1]
