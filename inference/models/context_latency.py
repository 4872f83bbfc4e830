"""Iteration times that know the context (truth mode): a + b * prefill tokens + c * sum of contexts + d * batch.

What the published simulator leaves out: a decode iteration reads the KV cache of every request in its batch, so that it
grows with their contexts and by one token per request from one iteration to the next. A run of n iterations is an
arithmetic series and costs one formula, not n.

All sums are of integers: coefficients per token are fixed-point numbers with 20 binary places, so that `decode_ns` and its
inverse `decodes_begun` agree to the nanosecond however long the run.
"""

from bisect import bisect_right
from math import sqrt

from inference.models.clock import ClockLaw
from inference.models.context_profile import ContextProfile
from inference.models.coverage import Coverage

_PLACES = 20
_ONE = 1 << _PLACES


class _Prefill(dict[int, int]):
    """Nanoseconds of a prefill by its tokens, at one clock: reckoned at the first look, remembered after it."""

    __slots__ = ("_compute", "_memory", "_profile")

    def __init__(self, profile: ContextProfile, compute: float, memory: float) -> None:
        super().__init__()
        self._profile = profile
        self._compute = compute
        self._memory = memory

    def __missing__(self, tokens: int) -> int:
        knots, times = self._profile.prefill_tokens, self._profile.prefill_ns
        left = min(max(bisect_right(knots, tokens) - 1, 0), len(knots) - 2)
        slope = (times[left + 1] - times[left]) / (knots[left + 1] - knots[left])
        whole = times[left] + slope * (tokens - knots[left])
        # However few its tokens, a prefill reads all weights, as a decode does; that part is memory-bound.
        floor = min(whole, self._profile.base_ns)
        duration_ns = max(1, round(floor * self._memory + (whole - floor) * self._compute))
        self[tokens] = duration_ns
        return duration_ns


class _Decode(dict[int, tuple[int, int]]):
    """Of a batch: nanoseconds of an iteration without context, and fixed-point nanoseconds for each token of context."""

    __slots__ = ("_memory", "_profile")

    def __init__(self, profile: ContextProfile, memory: float) -> None:
        super().__init__()
        self._profile = profile
        self._memory = memory

    def __missing__(self, batch: int) -> tuple[int, int]:
        profile, memory = self._profile, self._memory
        alone = profile.base_ns + profile.per_request_ns * batch
        per_token = profile.context_ns + profile.lone_context_ns / batch
        entry = (max(1, round(alone * memory)), round(per_token * memory * _ONE))
        self[batch] = entry
        return entry


class ContextLatency:
    """Truth mode: a `LatencyModel` over fitted coefficients, at one clock.

    Attributes:
        profile: its coefficients, and how well they fit.
        coverage: calls outside what was measured; shared by all clocks of one model.
    """

    __slots__ = (
        "_batch_max",
        "_cached",
        "_clock_mhz_max",
        "_clocks",
        "_context_max",
        "_decode",
        "_law",
        "_pair",
        "_prefill",
        "_tokens_max",
        "_tokens_min",
        "_weights_ns",
        "coverage",
        "profile",
    )

    def __init__(
        self,
        profile: ContextProfile,
        law: ClockLaw,
        clock_mhz_max: int,
        clock_mhz: int = 0,
        relative: "ContextLatency | None" = None,
    ) -> None:
        """Bind a profile to a clock.

        Args:
            profile: measured or modelled at `clock_mhz_max`.
            law: how times stretch below it.
            clock_mhz_max: of the GPU.
            clock_mhz: to run at; 0 for the highest.
            relative: the same replica at another clock, to share coverage and the cache of clocks with.
        """
        clock_mhz = clock_mhz or clock_mhz_max
        compute = law.compute_stretch(clock_mhz, clock_mhz_max)
        memory = law.memory_stretch(clock_mhz, clock_mhz_max)
        self.profile = profile
        self._law = law
        self._clock_mhz_max = clock_mhz_max
        self._prefill = _Prefill(profile, compute, memory)
        self._decode = _Decode(profile, memory)
        self._weights_ns = max(1, round(profile.base_ns * memory))
        self._cached = round(profile.cached_ns * memory * _ONE)
        self._pair = round(profile.pair_ns * compute * _ONE)
        self._tokens_min = profile.tokens_min
        self._tokens_max = profile.tokens_max
        self._batch_max = profile.batch_max
        self._context_max = profile.context_max
        if relative is None:
            self.coverage = Coverage(
                profile.name,
                f"{profile.tokens_min} to {profile.tokens_max} tokens",
                f"{profile.batch_max} requests with {profile.context_max} tokens of context",
            )
            self._clocks: dict[int, ContextLatency] = {}
        else:
            self.coverage = relative.coverage
            self._clocks = relative._clocks
        self._clocks[clock_mhz] = self

    def prefill_ns(self, tokens: int, context_tokens: int) -> int:
        """Time to prefill `tokens`, which attend to each other and to `context_tokens` cached before."""
        if tokens > self._tokens_max:
            self.coverage.above_prefill += 1
        elif tokens < self._tokens_min:
            self.coverage.below_prefill += 1
        if context_tokens:
            extra = (self._cached + self._pair * tokens) * context_tokens
            return self._prefill[tokens] + (extra >> _PLACES)
        return self._prefill[tokens]

    def decode_ns(self, batch: int, context_tokens: int, iterations: int) -> int:
        """Time of `iterations`, during which contexts grow by `batch` tokens after each."""
        longest = context_tokens + batch * (iterations - 1)
        if batch > self._batch_max or longest > self._context_max:
            self.coverage.above_decode += 1
        base, per_token = self._decode[batch]
        read = iterations * context_tokens + batch * (iterations * (iterations - 1) >> 1)
        return iterations * base + (per_token * read >> _PLACES)

    def mixed_ns(self, tokens: int, prefill_context: int, batch: int, context_tokens: int) -> int:
        """A prefill, and on top what `batch` requests add to an iteration that reads the weights anyway."""
        if batch > self._batch_max or context_tokens > self._context_max:
            self.coverage.above_decode += 1
        base, per_token = self._decode[batch]
        more = base - self._weights_ns + (per_token * context_tokens >> _PLACES)
        return self.prefill_ns(tokens, prefill_context) + more

    def decodes_begun(self, batch: int, context_tokens: int, elapsed_ns: int) -> int:
        """The least n >= 1 for which `decode_ns` of n iterations exceeds `elapsed_ns`."""
        base, per_token = self._decode[batch]
        # If iterations did not grow there would be at most this many; mostly they hardly do, and it is right.
        before = elapsed_ns // (base + (per_token * context_tokens >> _PLACES))
        read = before * context_tokens + batch * (before * (before - 1) >> 1)
        if before * base + (per_token * read >> _PLACES) <= elapsed_ns:
            return before + 1
        # But for the rounding, n iterations last linear * n + square * n^2. This form of the root does not cancel when the
        # square is small; linear is positive where each context has half a token or more.
        square = per_token * batch / (2 * _ONE)
        linear = max(base + per_token * context_tokens / _ONE - square, 0.0)
        count = int(2 * elapsed_ns / (linear + sqrt(linear * linear + 4 * square * elapsed_ns))) + 1
        # Rounding may put the estimate off by one; its neighbours are checked in integers.
        while _run_ns(base, per_token, batch, context_tokens, count) <= elapsed_ns:
            count += 1
        while _run_ns(base, per_token, batch, context_tokens, count - 1) > elapsed_ns:
            count -= 1
        return count

    def at_clock(self, clock_mhz: int) -> "ContextLatency":
        """The same replica at another SM clock: one object for each clock. Above the highest clock is the highest.

        Raises:
            ValueError: the clock is not positive.
        """
        if clock_mhz < 1:
            raise ValueError(f"expected a clock of at least 1 MHz, found {clock_mhz}")
        clock_mhz = min(clock_mhz, self._clock_mhz_max)
        found = self._clocks.get(clock_mhz)
        if found is None:
            return ContextLatency(self.profile, self._law, self._clock_mhz_max, clock_mhz, self)
        return found


def _run_ns(base: int, per_token: int, batch: int, context: int, iterations: int) -> int:
    """`ContextLatency.decode_ns` without its counting."""
    read = iterations * context + batch * (iterations * (iterations - 1) >> 1)
    return iterations * base + (per_token * read >> _PLACES)
