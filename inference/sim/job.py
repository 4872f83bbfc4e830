"""A request on its way through the cluster."""

from inference.domain.request import Request
from inference.policies.batching.queue import Stage


class Job:
    """One request's place and holdings.

    Attributes:
        request: as its policies see it.
        output_tokens: what it will truly generate; a policy may have been told another number.
        prefill_replica, decode_replica: of its route; -1 before it has one.
        incarnations: of those two replicas when it was routed: another number later means that they failed in between.
        kv_bytes: KV memory that it holds at the replica that it runs at.
        prefill_kv_bytes, decode_kv_bytes: what its stages reserve there.
        decode: its decode stage, made when it is routed; None where one token is all.
        prefilled: whether its first token exists.
        over: completed, refused or given up.
    """

    __slots__ = (
        "decode",
        "decode_kv_bytes",
        "decode_replica",
        "incarnations",
        "kv_bytes",
        "output_tokens",
        "over",
        "prefill",
        "prefill_kv_bytes",
        "prefill_replica",
        "prefilled",
        "request",
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
        self.prefilled = False
        self.over = False
