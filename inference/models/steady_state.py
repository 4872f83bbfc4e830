"""Continuous batching at a constant load, without simulating it: the batch, times and power that a replica settles at.

DynamoLLM profiles every model, class, TP, clock and load level (section on profiles). Here one such point is a fixed
point of four relations, each stated where it is computed:

1. Prompts that wait are prefilled together, up to `PREFILL_TOKENS_MAX`, and interrupt decodes (Splitwise, section 2).
2. A decode iteration takes longer by the share of time that prefills take.
3. The number of requests that decode is rate times time in decode (Little's law).
4. While some decode, the batch is that number's mean given that it is not zero (Poisson, as in M/G/infinity).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from inference.models.protocols import LatencyModel, PowerModel

PREFILL_TOKENS_MAX = 2048
"""Prompts batched into one prefill end here; a longer prompt goes alone (Splitwise, section 4.2)."""

_TAIL = 0.01
_NORMAL_P99 = 2.326
_ROUNDS = 64
_PASSES = 2
_CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class SteadyState:
    """A replica under constant Poisson load; times in milliseconds.

    Attributes:
        batch: mean number of requests in a decode iteration; 0 where none decode.
        ttft_ms, tbt_ms: means; `ttft_ms` is infinite where the queue grows without end.
        power_w: mean power of the replica's GPUs.
        feasible: the replica keeps up: prefills and decodes fit into the time and the batch under `batch_max`.
        ttft_ms_p99, tbt_ms_p99: estimates: exponential tail of the queue (M/D/1); batch at its Poisson 99th percentile.
        prefill_share, decode_share: of time; the rest is idle.
    """

    batch: float
    ttft_ms: float
    tbt_ms: float
    power_w: float
    feasible: bool
    ttft_ms_p99: float
    tbt_ms_p99: float
    prefill_share: float
    decode_share: float

    def energy_j(self, rate_per_s: float) -> float:
        """Energy per request at the rate that this state is of; idle time included. Infinite at rate 0."""
        return self.power_w / rate_per_s if rate_per_s > 0 else math.inf


@dataclass(frozen=True, slots=True)
class _Prefills:
    """The queue of prompts. `tokens` per iteration of `time_ns`; `load` of time now, `load_full` with full batches."""

    tokens: int
    time_ns: int
    load: float
    load_full: float


def steady_state(
    latency: LatencyModel,
    power: PowerModel,
    prompt_tokens: int,
    output_tokens: int,
    rate_per_s: float,
    batch_max: int,
) -> SteadyState:
    """Where continuous batching settles for requests of one size that arrive by Poisson.

    Args:
        latency: of the replica, at the clock in question.
        power: of the replica, at the same clock.
        prompt_tokens: of each request, at least 1.
        output_tokens: of each request, at least 1; the first token included.
        rate_per_s: requests per second, 0 or more.
        batch_max: requests that may decode at once (what the KV cache holds).

    Returns:
        The state. Where the load cannot be carried, `feasible` is false, `ttft_ms` infinite and the power that of a
        replica which is always busy.

    Raises:
        ValueError: a size below 1, or a rate that is negative or not finite.
    """
    if prompt_tokens < 1 or output_tokens < 1 or batch_max < 1:
        raise ValueError("prompt_tokens, output_tokens and batch_max must be at least 1")
    if not 0 <= rate_per_s < math.inf:
        raise ValueError(f"rate_per_s must be finite and at least 0, found {rate_per_s}")
    rate_per_ns = rate_per_s / 1e9
    prefills = _prefills(latency, prompt_tokens, rate_per_ns, 1.0)
    if prefills.load_full >= 1.0:
        return _flooded(power.prefill_w(prefills.tokens))
    mean_context = prompt_tokens + output_tokens / 2

    def decode_ns(batch: float) -> float:
        low = max(1, math.floor(batch))
        part = batch - low
        lower = latency.decode_ns(low, round(low * mean_context), 1)
        if part <= 0:
            return float(lower)
        return lower + part * (
            latency.decode_ns(low + 1, round((low + 1) * mean_context), 1) - lower
        )

    def settle(residents: float) -> float:
        work_ns = decode_ns(_batch_while_busy(residents))
        return rate_per_ns * (output_tokens - 1) * work_ns / (1 - prefills.load)

    residents = _smallest_fixed_point(settle, float(batch_max))
    for _ in range(_PASSES):
        held = min(residents, float(batch_max))
        arrivals = rate_per_ns * decode_ns(_batch_while_busy(held))
        waiting = 1.0 + _busy(held) * (_batch_while_busy(arrivals) - 1.0)
        prefills = _prefills(latency, prompt_tokens, rate_per_ns, waiting)
        residents = _smallest_fixed_point(settle, float(batch_max))
    return _state(power, prefills, decode_ns, residents, batch_max, output_tokens)


def _prefills(
    latency: LatencyModel, prompt_tokens: int, rate_per_ns: float, waiting: float
) -> _Prefills:
    """Relation 1.

    A batch that starts right behind another holds the arrivals of that one's time, given that there were any; one that
    starts otherwise holds `waiting` prompts: together `a + waiting * exp(-a)` for `a` arrivals in a batch's time.
    """
    most = max(1, PREFILL_TOKENS_MAX // prompt_tokens)
    full_ns = latency.prefill_ns(most * prompt_tokens, 0)
    prompts = min(float(most), waiting)
    for _ in range(_ROUNDS):
        arrivals = rate_per_ns * latency.prefill_ns(round(prompts * prompt_tokens), 0)
        following = min(float(most), arrivals + waiting * math.exp(-arrivals))
        if abs(following - prompts) < _CLOSE:
            break
        prompts = following
    tokens = round(prompts * prompt_tokens)
    time_ns = latency.prefill_ns(tokens, 0)
    load_full = rate_per_ns * full_ns / most
    return _Prefills(tokens, time_ns, min(rate_per_ns * time_ns / prompts, 1.0), load_full)


def _batch_while_busy(residents: float) -> float:
    """Relation 4: mean of a Poisson number, given that it is at least 1."""
    return residents / _busy(residents) if residents > 1e-9 else 1.0


def _busy(residents: float) -> float:
    """Probability that a Poisson number is not zero."""
    return -math.expm1(-residents)


def _smallest_fixed_point(function: Callable[[float], float], limit: float) -> float:
    """Smallest x with function(x) = x, or infinity where it lies beyond `limit`.

    `function` rises and is convex (more requests slow each other), so secants through points below the solution stay
    below it, and reach it in a few steps where plain iteration would crawl near saturation.
    """
    before, at = 0.0, function(0.0)
    value_before = at
    for _ in range(_ROUNDS):
        if at > limit:
            return math.inf
        value = function(at)
        if abs(value - at) <= _CLOSE * max(at, _CLOSE):
            return value
        slope = (value - value_before) / (at - before) if at > before else 0.0
        before, value_before = at, value
        if slope >= 1.0:
            return math.inf
        at += (value - at) / (1.0 - max(0.0, slope))
    return at


def _state(
    power: PowerModel,
    prefills: _Prefills,
    decode_ns: Callable[[float], float],
    residents: float,
    batch_max: int,
    output_tokens: int,
) -> SteadyState:
    feasible = residents <= batch_max
    held = min(residents, float(batch_max))
    left = 1.0 - prefills.load
    decode_share = _busy(held) * left if feasible else left
    batch = (_batch_while_busy(held) if feasible else held) if output_tokens > 1 else 0.0
    gap_ns = decode_ns(batch) if batch else 0.0
    high = min(batch + _NORMAL_P99 * math.sqrt(batch), float(batch_max)) if batch else 0.0
    gap_high_ns = decode_ns(max(high, batch)) if batch else 0.0
    # An arrival waits for the iteration that runs: half of it on average. Behind a prefill stands a queue (M/D/1);
    # batching shortens it, so that its length follows the load at full batches.
    prefill_wait_ns = prefills.load * prefills.time_ns / 2 / (1 - prefills.load_full)
    wait_ns = prefill_wait_ns + decode_share * gap_ns / 2
    tail_ns = prefills.time_ns / 2 / (1 - prefills.load_full)
    tail_ns *= max(0.0, math.log(prefills.load / _TAIL)) if prefills.load > _TAIL else 0.0
    whole = max(1, round(batch))
    power_w = (
        prefills.load * power.prefill_w(prefills.tokens)
        + decode_share * power.decode_w(whole, 0)
        + max(0.0, left - decode_share) * power.idle_w
    )
    return SteadyState(
        batch=batch,
        ttft_ms=(wait_ns + prefills.time_ns) / 1e6 if feasible else math.inf,
        tbt_ms=gap_ns / left / 1e6,
        power_w=power_w,
        feasible=feasible,
        ttft_ms_p99=(tail_ns + gap_high_ns + prefills.time_ns) / 1e6 if feasible else math.inf,
        tbt_ms_p99=gap_high_ns / left / 1e6,
        prefill_share=prefills.load,
        decode_share=decode_share,
    )


def _flooded(power_w: float) -> SteadyState:
    """More prompts than the replica can ever prefill."""
    return SteadyState(0.0, math.inf, math.inf, power_w, False, math.inf, math.inf, 1.0, 0.0)
