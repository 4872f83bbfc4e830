"""Iteration times as splitwise-sim reckons them, for parity with it (compat mode).

Its rules (spec B1, read from its code; none of it is here):

- a table of medians over batch tokens = prompt tokens * batch size, with linear interpolation between neighbours and the
  edge segments prolonged at both ends;
- prefill: the table's prompt time at the sum of prompt tokens;
- decode: the table's token time at the *number of requests* that decode. This is its quirk: the axis is of batch tokens,
  so that a batch below 128 is always an extrapolation and context length has no effect;
- mixed: 1.1 times the prompt time at prompt tokens plus the number of decodes.

`context_latency` has the mode without the quirk.
"""

from bisect import bisect_right

from inference.errors import ProfileError
from inference.models.coverage import Coverage
from inference.models.profile import Profile

MIXED_FACTOR = 1.1


class _Line(dict[int, int]):
    """Nanoseconds by token count: reckoned at the first look, remembered after it."""

    __slots__ = ("_factor", "_ms", "_tokens")

    def __init__(self, tokens: tuple[float, ...], ms: tuple[float, ...], factor: float) -> None:
        super().__init__()
        self._tokens = tokens
        self._ms = ms
        self._factor = factor

    def __missing__(self, tokens: int) -> int:
        left = min(max(bisect_right(self._tokens, tokens) - 1, 0), len(self._tokens) - 2)
        start, end = self._tokens[left], self._tokens[left + 1]
        slope = (self._ms[left + 1] - self._ms[left]) / (end - start)
        ms = self._factor * (self._ms[left] + slope * (tokens - start))
        # A falling edge segment may reach zero when prolonged; no iteration takes no time.
        duration_ns = max(1, round(ms * 1e6))
        self[tokens] = duration_ns
        return duration_ns


class TableLatency:
    """Compat mode: a `LatencyModel` over one table. Has no clock: `at_clock` is the same object at every clock.

    Attributes:
        coverage: calls outside the table; a decode batch below 128 is one, and normal here.
    """

    __slots__ = ("_decode", "_high", "_low", "_mixed", "_prefill", "coverage")

    def __init__(self, table: Profile) -> None:
        """Take the columns batch_tokens (ascending, two rows or more), prompt_ms and token_ms of `table`."""
        tokens = tuple(table.numbers["batch_tokens"].tolist())
        if len(tokens) < 2:
            raise ProfileError(table.name, "rows", f"expected at least 2, found {len(tokens)}")
        prompt_ms = tuple(table.numbers["prompt_ms"].tolist())
        self._prefill = _Line(tokens, prompt_ms, 1.0)
        self._mixed = _Line(tokens, prompt_ms, MIXED_FACTOR)
        self._decode = _Line(tokens, tuple(table.numbers["token_ms"].tolist()), 1.0)
        self._low = int(tokens[0])
        self._high = int(tokens[-1])
        measured = f"{self._low} to {self._high} batch tokens"
        self.coverage = Coverage(table.name, measured, measured)

    def prefill_ns(self, tokens: int, context_tokens: int) -> int:
        """Prompt time of `tokens`; cached context has no effect, as the published table knows none."""
        if tokens < self._low:
            self.coverage.below_prefill += 1
        elif tokens > self._high:
            self.coverage.above_prefill += 1
        return self._prefill[tokens]

    def decode_ns(self, batch: int, context_tokens: int, iterations: int) -> int:
        """Token time at `batch`, for each of `iterations`; context has no effect."""
        if batch < self._low:
            self.coverage.below_decode += 1
        elif batch > self._high:
            self.coverage.above_decode += 1
        return self._decode[batch] * iterations

    def mixed_ns(self, tokens: int, prefill_context: int, batch: int, context_tokens: int) -> int:
        """1.1 times the prompt time at `tokens` + `batch`."""
        total = tokens + batch
        if total < self._low:
            self.coverage.below_prefill += 1
        elif total > self._high:
            self.coverage.above_prefill += 1
        return self._mixed[total]

    def decodes_begun(self, batch: int, context_tokens: int, elapsed_ns: int) -> int:
        """Whole iterations in `elapsed_ns`, and the one that runs then."""
        return elapsed_ns // self._decode[batch] + 1

    def at_clock(self, clock_mhz: int) -> "TableLatency":
        """This object: the table was measured at the highest clock and says nothing of others.

        A power-capped H100 has a table of its own (`h100-80gb-pcap`).
        """
        return self
