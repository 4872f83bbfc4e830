"""The reckoned columns of a cluster: what a router knows of its replicas by counting its own doings.

One piece of code for both drivers: the simulator counts what happens in it, the gateway what it sends and hears back.
Nothing here is ever asked of a replica, so nothing here is stale (`domain.view` says what each column means).
"""

from typing import NamedTuple


class Pledge(NamedTuple):
    """What a routed request takes of its replicas, from its routing to its end.

    Attributes:
        prefill, decode: replicas; equal where the cache stays.
        prompt_tokens: to prefill.
        output_tokens: expected.
        prompt_bytes: KV memory of its prompt and first token, held where the prefill is until the cache has moved.
        output_bytes: KV memory of the tokens after, at the decode.
    """

    prefill: int
    decode: int
    prompt_tokens: int
    output_tokens: int
    prompt_bytes: int
    output_bytes: int


class Reckoning:
    """Counts by replica; the lists are the columns themselves, read by policies and written here alone.

    A request goes routed -> prefilled -> (moved, where it has two replicas) -> completed, or is withdrawn on the way.
    """

    __slots__ = (
        "_weights_bytes",
        "kv_committed_bytes",
        "output_tokens_total",
        "pending_tokens",
        "prompt_tokens_total",
    )

    def __init__(self) -> None:
        self._weights_bytes: list[int] = []
        self.pending_tokens: list[int] = []
        self.kv_committed_bytes: list[int] = []
        self.prompt_tokens_total: list[int] = []
        self.output_tokens_total: list[int] = []

    def add(self, weights_bytes: int) -> None:
        """A replica comes, with the next index, its memory taken by weights alone."""
        self._weights_bytes.append(weights_bytes)
        self.pending_tokens.append(0)
        self.kv_committed_bytes.append(weights_bytes)
        self.prompt_tokens_total.append(0)
        self.output_tokens_total.append(0)

    def routed(self, pledge: Pledge) -> None:
        """A request has been sent to its replicas."""
        prefill, decode, prompt_tokens, output_tokens, prompt_bytes, output_bytes = pledge
        committed, pending = self.kv_committed_bytes, self.pending_tokens
        committed[decode] += prompt_bytes + output_bytes
        if prefill != decode:
            committed[prefill] += prompt_bytes
        pending[prefill] += prompt_tokens
        pending[decode] += 1
        self.prompt_tokens_total[prefill] += prompt_tokens
        self.output_tokens_total[decode] += output_tokens

    def carried(self, pledge: Pledge, prefilled: bool) -> None:
        """A request has been taken to one other replica as it is; its load was counted where it was routed first."""
        replica = pledge.decode
        self.kv_committed_bytes[replica] += pledge.prompt_bytes + pledge.output_bytes
        self.pending_tokens[replica] += 1 if prefilled else 1 + pledge.prompt_tokens

    def prefilled(self, pledge: Pledge) -> None:
        """Its first token is there."""
        self.pending_tokens[pledge[0]] -= pledge[2]

    def moved(self, pledge: Pledge) -> None:
        """Its cache has left the prefill's replica (or, with a single token, will never leave it)."""
        if pledge[0] != pledge[1]:
            self.kv_committed_bytes[pledge[0]] -= pledge[4]

    def completed(self, pledge: Pledge) -> None:
        """Its last token is there, and its cache had moved."""
        decode = pledge[1]
        self.pending_tokens[decode] -= 1
        self.kv_committed_bytes[decode] -= pledge[4] + pledge[5]

    def lost(self, replica: int) -> None:
        """A replica holds nothing any more: it failed, or its requests were carried off. Its pledges must not be settled."""
        self.pending_tokens[replica] = 0
        self.kv_committed_bytes[replica] = self._weights_bytes[replica]

    def settled(self, replica: int) -> bool:
        """Whether nothing is pledged at a replica."""
        committed = self.kv_committed_bytes[replica] == self._weights_bytes[replica]
        return committed and not self.pending_tokens[replica]
