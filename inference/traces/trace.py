"""A trace: requests as columns, in order of arrival."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.errors import TraceError

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Requests in order of arrival; row i is request i of the run.

    Attributes:
        name: for reports and errors.
        arrival_ns: since the start of the run, not falling.
        prompt_tokens, output_tokens: at least 1 each; the output includes the first token.
        model, priority: as in `domain.request.Request`.
        description: where it comes from and how it was made ("2024 week shape (digitised)", seed, rate).
    """

    name: str
    arrival_ns: Int64
    prompt_tokens: Int64
    output_tokens: Int64
    model: Int64
    priority: Int64
    description: str = ""

    def __post_init__(self) -> None:
        rows = len(self.arrival_ns)
        columns = (self.prompt_tokens, self.output_tokens, self.model, self.priority)
        if any(len(column) != rows for column in columns):
            raise TraceError(self.name, "columns", "all columns must have as many rows as arrivals")
        if rows == 0:
            raise TraceError(self.name, "rows", "expected at least one request, found none")
        falling = np.flatnonzero(np.diff(self.arrival_ns) < 0)
        if falling.size:
            expected = "expected arrivals in order; sort the file by its time column"
            raise TraceError(self.name, f"arrival of row {int(falling[0]) + 1}", expected)
        if int(self.arrival_ns[0]) < 0:
            raise TraceError(self.name, "arrival of row 0", "expected a time of 0 or later")
        for column, values in (
            ("prompt_tokens", self.prompt_tokens),
            ("output_tokens", self.output_tokens),
        ):
            wrong = np.flatnonzero(values < 1)
            if wrong.size:
                row = int(wrong[0])
                expected = f"expected a whole number of at least 1, found {int(values[row])}"
                raise TraceError(self.name, f"{column} of row {row}", expected)

    def __len__(self) -> int:
        return len(self.arrival_ns)

    @property
    def duration_ns(self) -> int:
        """Time of the last arrival."""
        return int(self.arrival_ns[-1])


def trace_of(
    name: str,
    arrival_ns: npt.ArrayLike,
    prompt_tokens: npt.ArrayLike,
    output_tokens: npt.ArrayLike,
    *,
    model: npt.ArrayLike | None = None,
    priority: npt.ArrayLike | None = None,
    description: str = "",
) -> Trace:
    """A trace from anything array-like; absent models and priorities are 0.

    Raises:
        TraceError: a value is no whole number (NaN, infinity, fraction), or a rule of `Trace` is broken.
    """
    arrivals = _whole(name, "arrival_ns", arrival_ns)
    zeros = np.zeros(len(arrivals), dtype=np.int64)
    return Trace(
        name,
        arrivals,
        _whole(name, "prompt_tokens", prompt_tokens),
        _whole(name, "output_tokens", output_tokens),
        zeros if model is None else _whole(name, "model", model),
        zeros if priority is None else _whole(name, "priority", priority),
        description,
    )


def _whole(name: str, column: str, values: npt.ArrayLike) -> Int64:
    array = np.asarray(values)
    if array.ndim != 1:
        raise TraceError(name, column, f"expected one column, found {array.ndim} dimensions")
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind != "f":
        raise TraceError(name, column, f"expected numbers, found {array.dtype}")
    wrong = np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))
    if wrong.size:
        row = int(wrong[0])
        raise TraceError(
            name, f"{column} of row {row}", f"expected a whole number, found {array[row]}"
        )
    return array.astype(np.int64)
