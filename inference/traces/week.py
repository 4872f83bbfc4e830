"""Requests by a rate that changes over time: the 2024 week of Azure's services, or any other `RateSeries`.

The process is Poisson with the series' rate. Every period has its own generator, seeded by (seed, period), so a trace is
the same in one piece, in chunks, or from the middle on; 27 million requests need the memory of one chunk only.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from inference.errors import TraceError
from inference.traces.arguments import whole_seed
from inference.traces.azure import azure_2023
from inference.traces.lengths import LengthSource, PairedLengths
from inference.traces.rates import RateSeries, week_rates
from inference.traces.trace import Int64, Trace, trace_of

# One piece of more than this is refused: five columns of it are 1.2 GB.
REQUESTS_MAX = 30_000_000
CHUNK_PERIODS = 6


@dataclass(frozen=True, slots=True)
class RateTrace:
    """A trace that is drawn period by period.

    Attributes:
        rates: when how many arrive.
        lengths: how long they are.
        seed: of all draws.
        name: of the traces made.
        first_period: number of the first period in the seed's counting; a window of a week keeps the week's draws.
        start_s, end_s: where arrivals are cut, in the series' time; new time begins at `start_s`.
    """

    rates: RateSeries
    lengths: LengthSource
    seed: int
    name: str
    first_period: int = 0
    start_s: float = 0.0
    end_s: float = math.inf

    @property
    def description(self) -> str:
        """Where the requests come from, with all that was scaled or sampled."""
        return f"{self.rates.description}; Poisson, seed {self.seed}; {self.lengths.description}"

    def trace(self) -> Trace:
        """All requests at once.

        Raises:
            TraceError: there are none, or more than fit in memory.
        """
        if self.rates.requests > REQUESTS_MAX:
            expected = (
                f"expected at most {REQUESTS_MAX} requests in one piece, found about {self.rates.requests:.0f};"
                " scale the rate, take a window, or read it in chunks"
            )
            raise TraceError(self.name, "scale", expected)
        return self._joined(range(len(self.rates.t_s)))

    def chunks(self, periods: int = CHUNK_PERIODS) -> Iterator[Trace]:
        """The same requests, some periods at a time; times go on over the chunks. Empty chunks are left out."""
        if periods < 1:
            raise TraceError("argument", "periods", f"expected at least 1, found {periods}")
        for start in range(0, len(self.rates.t_s), periods):
            rows = range(start, min(start + periods, len(self.rates.t_s)))
            drawn = [self._drawn(row) for row in rows]
            if any(len(one[0]) for one in drawn):
                yield self._of(drawn)

    def _joined(self, rows: range) -> Trace:
        return self._of([self._drawn(row) for row in rows])

    def _of(self, drawn: list[tuple[Int64, Int64, Int64]]) -> Trace:
        arrivals, prompts, outputs = (
            np.concatenate([one[column] for one in drawn]) for column in range(3)
        )
        return trace_of(self.name, arrivals, prompts, outputs, description=self.description)

    def _drawn(self, row: int) -> tuple[Int64, Int64, Int64]:
        """Arrivals in nanoseconds, prompts and outputs of one period."""
        random = np.random.default_rng([whole_seed(self.seed), self.first_period + row])
        start_ns = round(float(self.rates.t_s[row]) * 1e9)
        period_ns = round(self.rates.period_s * 1e9)
        count = int(random.poisson(float(self.rates.per_s[row]) * self.rates.period_s))
        arrivals = start_ns + random.integers(0, period_ns, count)
        arrivals.sort()
        prompts, outputs = self.lengths.draw(count, random)
        if start_ns < self.start_s * 1e9 or start_ns + period_ns > self.end_s * 1e9:
            kept = (arrivals >= self.start_s * 1e9) & (arrivals < self.end_s * 1e9)
            arrivals, prompts, outputs = arrivals[kept], prompts[kept], outputs[kept]
        return arrivals - round(self.start_s * 1e9), prompts, outputs


def week_source(
    service: str,
    seed: int,
    *,
    scale: float = 1.0,
    start_s: float = 0.0,
    end_s: float | None = None,
    lengths: LengthSource | None = None,
) -> RateTrace:
    """The 2024 week of one service, whole or a window of it, ready to be drawn in one piece or in chunks.

    Args:
        service: "code" or "conv".
        seed: of the draws; the same seed gives a window the requests that the whole week has there (at the same scale).
        scale: factor on every rate, so that the load fits a smaller cluster; said in the description.
        start_s: of the window, from Friday 00:00 UTC; it is time 0 of the requests.
        end_s: its end, likewise; None for the end of the week.
        lengths: of the requests; None for pairs from the 2023 trace of the same service.

    Raises:
        TraceError: an argument is out of range.
    """
    rates = week_rates(service)
    end_s = rates.duration_s if end_s is None else end_s
    if not 0 <= start_s < end_s <= rates.duration_s:
        expected = (
            f"expected a start before an end, within 0 and {rates.duration_s:g} s,"
            f" found {start_s!r} to {end_s!r}"
        )
        raise TraceError("argument", "window", expected)
    first, last = int(start_s // rates.period_s), math.ceil(end_s / rates.period_s)
    begin_s = first * rates.period_s
    if (start_s, end_s) != (0.0, rates.duration_s):
        about = f"{rates.description}, from {start_s:g} s to {end_s:g} s"
        rates = replace(rates.window(begin_s, last * rates.period_s), description=about)
    return RateTrace(
        rates.scaled(scale),
        PairedLengths(azure_2023(service)) if lengths is None else lengths,
        whole_seed(seed),
        f"azure-{service}-week-2024",
        first,
        start_s - begin_s,
        end_s - begin_s,
    )


def week_trace(
    service: str,
    seed: int,
    *,
    scale: float = 1.0,
    start_s: float = 0.0,
    end_s: float | None = None,
    lengths: LengthSource | None = None,
) -> Trace:
    """`week_source` in one piece; a whole unscaled week takes about 1.2 GB."""
    source = week_source(service, seed, scale=scale, start_s=start_s, end_s=end_s, lengths=lengths)
    return source.trace()
