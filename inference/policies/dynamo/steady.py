"""Whether a replica keeps every objective of a pool's workload at a load, and what it draws.

The means (batch, time between tokens, shares of time, power) are `inference.models.steady_state`'s, for requests of the
pool's mean lengths. A pool mixes lengths and objectives, so the 99th percentiles are taken here, for each component:

- TTFT: prompts of different length queue as in M/G/1, whose wait grows with the mean square of the prefill time; its tail
  is taken as exponential. Then comes the iteration that runs on arrival, and the prefill of a long prompt of its kind.
- TBT, a request's mean: iterations of a batch at its Poisson 99th percentile, and the prefills that one request in a
  hundred is stalled by. From its own wait to its last token every arrival begins a busy period of prefills, which all go
  first; the sum of those periods is taken as gamma distributed with their exact mean and variance (M/G/1).
"""

import math
from typing import NamedTuple

from scipy.special import gammaincinv

from inference.models.protocols import LatencyModel, PowerModel
from inference.models.steady_state import SteadyState, steady_state
from inference.policies.dynamo.workload import Component, Workload

_TAIL = 0.01
_NORMAL_P99 = 2.326


class Steady(NamedTuple):
    """State of a replica at one load.

    Attributes:
        batch: mean requests in decode, over all time.
        ttft_ms_p99, tbt_ms_p99: of the component that is nearest to its objective.
        power_w: mean of its GPUs, idle time included.
        slack: smallest objective / percentile over components; at least 1 where all hold.
        feasible: all hold, the queue is stable and the KV cache holds the batch.
    """

    batch: float
    ttft_ms_p99: float
    tbt_ms_p99: float
    power_w: float
    slack: float
    feasible: bool


class ReplicaLoad:
    """One replica's models under one workload, at a clock."""

    def __init__(
        self, latency: LatencyModel, power: PowerModel, workload: Workload, batch_max: int
    ) -> None:
        """Bind models and workload.

        Args:
            latency: of the replica, at the clock wanted.
            power: of the replica, at that clock.
            workload: what it serves.
            batch_max: requests whose KV cache fits; 0 where the weights alone do not.
        """
        self._latency = latency
        self._power = power
        self._workload = workload
        self._batch_max = batch_max
        parts = workload.components
        self._prompt = max(1, round(workload.prompt_tokens_mean))
        self._output = max(1, round(workload.output_tokens_mean))
        self._square_s2 = sum(p.share * self._prefill_s(p.prompt_tokens_rms) ** 2 for p in parts)
        self._own_s = [self._prefill_s(part.prompt_tokens_p99) for part in parts]

    @property
    def prompt_tokens(self) -> float:
        """Mean prompt of its requests."""
        return float(self._prompt)

    @property
    def prefill_ms(self) -> float:
        """Mean prefill time of its requests, alone."""
        return self._prefill_s(self._prompt) * 1e3

    def at(self, rate_per_s: float) -> Steady:
        """State at a load of requests per second."""
        if self._batch_max < 1:
            return _overload(0.0)
        base = steady_state(
            self._latency, self._power, self._prompt, self._output, rate_per_s, self._batch_max
        )
        if not base.feasible:
            return _overload(base.power_w)
        residents = base.batch * base.decode_share / max(1e-12, 1.0 - base.prefill_share)
        wait_s = self._wait_p99_s(rate_per_s, base)
        slack, ttft_ms, tbt_ms = math.inf, 0.0, 0.0
        for part, own_s in zip(self._workload.components, self._own_s, strict=True):
            ttft = (wait_s + own_s) * 1e3
            tbt = self._tbt_p99_ms(rate_per_s, base, part)
            margin = min(part.ttft_ms / ttft, part.tbt_ms / max(tbt, 1e-9))
            if margin < slack:
                slack, ttft_ms, tbt_ms = margin, ttft, tbt
        crowd = residents + _NORMAL_P99 * math.sqrt(residents)
        feasible = slack >= 1.0 and crowd <= self._batch_max
        return Steady(residents, ttft_ms, tbt_ms, base.power_w, slack, feasible)

    def _wait_p99_s(self, rate_per_s: float, base: SteadyState) -> float:
        rho = base.prefill_share
        running_s = base.tbt_ms_p99 * (1.0 - rho) / 1e3
        if rho <= _TAIL:
            return running_s
        return self._wait_mean_s(rate_per_s, rho) / rho * math.log(rho / _TAIL) + running_s

    def _wait_mean_s(self, rate_per_s: float, rho: float) -> float:
        """Mean wait of a prompt behind others (M/G/1)."""
        return rate_per_s * self._square_s2 / (2.0 * (1.0 - rho))

    def _tbt_p99_ms(self, rate_per_s: float, base: SteadyState, part: Component) -> float:
        gaps = max(1.0, part.output_tokens_mean - 1.0)
        rho = base.prefill_share
        gap_ms = base.tbt_ms_p99 * (1.0 - rho)
        if rho <= 0:
            return gap_ms
        exposed_s = gaps * gap_ms / 1e3 + self._wait_mean_s(rate_per_s, rho) + rho / rate_per_s
        mean_s = exposed_s * rho / (1.0 - rho)
        variance_s2 = rate_per_s * exposed_s * self._square_s2 / (1.0 - rho) ** 3
        scale_s = variance_s2 / mean_s
        stalled_s = float(gammaincinv(mean_s / scale_s, 1.0 - _TAIL)) * scale_s
        return gap_ms + stalled_s * 1e3 / gaps

    def _prefill_s(self, tokens: float) -> float:
        return self._latency.prefill_ns(max(1, round(tokens)), 0) / 1e9


def _overload(power_w: float) -> Steady:
    return Steady(math.inf, math.inf, math.inf, power_w, 0.0, False)
