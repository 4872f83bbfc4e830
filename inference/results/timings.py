"""Latencies of single requests, derived from the timestamps of `RequestColumns` in one place.

Definitions: docs/metrics.md. All are of completed requests; those that did not complete are
counted apart and, where an objective is judged, taken as infinitely late.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.results.run import Float64, Int64, RequestColumns, Status

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Timings:
    """Latencies of some completed requests, in nanoseconds, made when asked for.

    Attributes:
        requests: columns of the run.
        rows: which of them, all completed.
    """

    requests: RequestColumns
    rows: Rows

    def __len__(self) -> int:
        return int(self.rows.size)

    def among(self, selected: npt.NDArray[np.bool_]) -> "Timings":
        """Those of the requests that a mask over all requests of the run selects."""
        return Timings(self.requests, self.rows[selected[self.rows]])

    @property
    def ttft_ns(self) -> Int64:
        """Time to first token: arrival to the end of prefill."""
        return self._of(self.requests.first_token_ns) - self._of(self.requests.arrival_ns)

    @property
    def e2e_ns(self) -> Int64:
        """Arrival to the last token."""
        return self._of(self.requests.completion_ns) - self._of(self.requests.arrival_ns)

    @property
    def tbt_ns(self) -> Float64:
        """Splitwise's mean time between tokens: (E2E - TTFT) / output tokens; 0 for one token."""
        return (self.e2e_ns - self.ttft_ns) / self._of(self.requests.output_tokens)

    @property
    def tpot_ns(self) -> Float64:
        """Mean gap between adjacent tokens: (completion - first token) / (tokens - 1).

        Only of requests of two tokens or more, so there may be fewer values than requests.
        """
        return self._several().gap_ns

    @property
    def gap_ns(self) -> Float64:
        """As `tpot_ns`, of every request: 0 where one token leaves no gap."""
        after_first_ns = self._of(self.requests.completion_ns) - self._of(
            self.requests.first_token_ns
        )
        return after_first_ns / np.maximum(self._of(self.requests.output_tokens) - 1, 1)

    @property
    def decode_wait_ns(self) -> Int64:
        """First token to the start of the first decode iteration: KV transfer and decode's queue."""
        several = self._several()
        requests = several.requests
        return several._of(requests.decode_start_ns) - several._of(requests.first_token_ns)

    @property
    def second_token_ns(self) -> Float64:
        """Gap between the first and the second token: decode wait plus a mean decode iteration.

        A run keeps the start of the first decode iteration, not its end; the mean stands for it.
        """
        several = self._several()
        requests = several.requests
        decoding_ns = several._of(requests.completion_ns) - several._of(requests.decode_start_ns)
        gaps = several._of(requests.output_tokens) - 1
        return several.decode_wait_ns + decoding_ns / gaps

    @property
    def queue_ns(self) -> Int64:
        """Arrival to the first prefill iteration."""
        started = self._where(self.requests.prefill_start_ns >= 0)
        return started._of(self.requests.prefill_start_ns) - started._of(self.requests.arrival_ns)

    @property
    def transfer_ns(self) -> Int64:
        """Visible time of the KV transfer, of requests that decode elsewhere than they prefill."""
        requests = self.requests
        moved = self._where(
            (requests.prefill_replica != requests.decode_replica) & (requests.decode_replica >= 0)
        )
        return moved._of(requests.transfer_ns)

    @property
    def energy_j(self) -> Float64:
        """Each request's share of GPU energy."""
        return self.requests.energy_j[self.rows]

    def _several(self) -> "Timings":
        return self._where(self.requests.output_tokens > 1)

    def _where(self, selected: npt.NDArray[np.bool_]) -> "Timings":
        return self if bool(selected.all()) else self.among(selected)

    def _of(self, column: Int64) -> Int64:
        return column[self.rows]


def completed(requests: RequestColumns) -> Timings:
    """Latencies of all completed requests of a run.

    Raises:
        ValueError: one of them has its timestamps out of order: the driver is wrong.
    """
    timings = Timings(requests, np.flatnonzero(requests.status == Status.COMPLETED))
    ttft_ns = timings.ttft_ns
    if bool((ttft_ns < 0).any()) or bool((timings.e2e_ns < ttft_ns).any()):
        raise ValueError("a completed request needs arrival <= first token <= completion")
    return timings


def over_all(timings: Timings, values: npt.NDArray[np.number]) -> Float64:
    """One value for each of the timings as a column over all requests; infinite elsewhere."""
    column = np.full(len(timings.requests.status), np.inf)
    column[timings.rows] = values
    return column
