"""How much KV cache fits a replica, and how it is counted: to the byte (splitwise-sim), or in blocks (paged engines)."""

from dataclasses import dataclass

from inference.domain.replica import Gpu, Model
from inference.errors import ScenarioError

BLOCK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class KvBudget:
    """Memory of one replica.

    Attributes:
        capacity_bytes: of all its GPUs.
        weights_bytes: of the model, spread over them.
        reserve_bytes: for activations and the engine.
        bytes_per_token: KV cache of one token.
        block_tokens: granularity of allocation; 1 counts tokens.
    """

    capacity_bytes: int
    weights_bytes: int
    reserve_bytes: int
    bytes_per_token: int
    block_tokens: int

    @property
    def blocks(self) -> int:
        """Whole blocks that fit beside weights and reserve."""
        free = self.capacity_bytes - self.weights_bytes - self.reserve_bytes
        return max(0, free // (self.bytes_per_token * self.block_tokens))

    @property
    def tokens(self) -> int:
        """Tokens that fit, in whole blocks."""
        return self.blocks * self.block_tokens

    def blocks_for(self, tokens: int) -> int:
        """Blocks that a request holds whose context is `tokens` long: its last block is partly empty."""
        return -(-tokens // self.block_tokens)

    def bytes_for(self, tokens: int) -> int:
        """Memory that a request's context of `tokens` holds, whole blocks."""
        return self.blocks_for(tokens) * self.block_tokens * self.bytes_per_token

    def blocks_after(self, contexts: list[int], iterations: int) -> int:
        """Blocks that a batch holds once each of its `contexts` has grown by one token per iteration."""
        size = self.block_tokens
        return sum(-(-(context + iterations) // size) for context in contexts)

    def iterations_left(self, contexts: list[int], blocks: int) -> int:
        """Iterations that a batch can decode before it would hold more than `blocks` (for runs merged until then).

        Returns:
            The largest n for which `blocks_after(contexts, n)` is at most `blocks`; 0 also where they are too many now.
        """
        if not contexts or self.blocks_after(contexts, 1) > blocks:
            return 0
        # In `block_tokens` iterations each context takes one block more; bisect within the last such round.
        spare = blocks - self.blocks_after(contexts, 0)
        low = max(1, spare // len(contexts) * self.block_tokens)
        high = low + 2 * self.block_tokens
        while high - low > 1:
            middle = (low + high) // 2
            if self.blocks_after(contexts, middle) <= blocks:
                low = middle
            else:
                high = middle
        return low


def kv_budget(
    model: Model,
    gpu: Gpu,
    tp: int,
    *,
    reserve_share: float = 0.0,
    block_tokens: int = 1,
    request_tokens: int = 1,
) -> KvBudget:
    """The budget of a replica of `model` on `tp` GPUs.

    Args:
        model: whose weights and cache.
        gpu: whose memory.
        tp: GPUs of the replica.
        reserve_share: of all memory, kept for activations; vLLM's default utilisation of 0.9 is 0.1 here, and
            splitwise-sim keeps none.
        block_tokens: of one block; `BLOCK_TOKENS` is vLLM's.
        request_tokens: the longest context that must fit.

    Raises:
        ScenarioError: weights, or one request of `request_tokens` besides, do not fit.
        ValueError: a size is not positive, or the share not in [0, 1).
    """
    if tp < 1 or block_tokens < 1 or request_tokens < 1 or not 0 <= reserve_share < 1:
        raise ValueError(f"{tp=}, {block_tokens=}, {request_tokens=}, {reserve_share=}")
    capacity = gpu.memory_bytes * tp
    reserve = int(capacity * reserve_share)
    per_token = model.kv_bytes_per_token
    budget = KvBudget(capacity, model.weights_bytes, reserve, per_token, block_tokens)
    if budget.blocks < budget.blocks_for(request_tokens):
        free = capacity - reserve
        needed = model.weights_bytes + budget.bytes_for(request_tokens)
        raise ScenarioError(
            f"{model.name} on {tp} x {gpu.name}",
            "memory",
            f"expected at least {needed / 1e9:.1f} GB for weights ({model.weights_bytes / 1e9:.1f} GB) and one request of "
            f"{request_tokens} tokens, found {free / 1e9:.1f} GB; raise tp, lower the reserve or choose a smaller model",
        )
    return budget
