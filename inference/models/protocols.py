"""What the simulator asks of a hardware model. Objects are bound to model, GPU, TP and clock, so that calls stay short."""

from typing import Protocol


class LatencyModel(Protocol):
    """Time of the iterations of one replica, at one clock. All times in nanoseconds, at least 1."""

    def prefill_ns(self, tokens: int, context_tokens: int) -> int:
        """An iteration that only prefills: `tokens` new ones over all its prompts, each attending to `context_tokens` cached before.

        Where prompts differ in what is cached of them (chunks), it is the mean over the new tokens.
        """
        ...

    def decode_ns(self, batch: int, context_tokens: int, iterations: int) -> int:
        """`iterations` successive decode iterations of `batch` requests whose contexts sum to `context_tokens` at first."""
        ...

    def mixed_ns(self, tokens: int, prefill_context: int, batch: int, context_tokens: int) -> int:
        """One iteration that prefills `tokens` and decodes one token for each of `batch` requests."""
        ...

    def decodes_begun(self, batch: int, context_tokens: int, elapsed_ns: int) -> int:
        """Decode iterations completed or begun when `elapsed_ns` have passed since the first began: at least 1."""
        ...

    def at_clock(self, clock_mhz: int) -> "LatencyModel":
        """The same replica at another SM clock (cached; identical object for the same clock)."""
        ...


class PowerModel(Protocol):
    """Power of all GPUs of one replica (not of the server around them), at one clock. Watts."""

    @property
    def idle_w(self) -> float:
        """Nothing runs; weights loaded."""
        ...

    def prefill_w(self, tokens: int) -> float:
        """Mean power of an iteration that prefills `tokens`."""
        ...

    def decode_w(self, batch: int, context_tokens: int) -> float:
        """Mean power of decode iterations of `batch` requests."""
        ...

    def mixed_w(self, tokens: int, batch: int, context_tokens: int) -> float:
        """Mean power of an iteration that does both."""
        ...

    def at_clock(self, clock_mhz: int) -> "PowerModel":
        """The same replica at another SM clock (cached)."""
        ...
