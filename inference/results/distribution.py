"""Mean and percentiles of a metric, interpolated linearly between ranks as NumPy's default does."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

QUANTILES = (0.50, 0.90, 0.99)


@dataclass(frozen=True, slots=True)
class Distribution:
    """What is told of many values of one metric, in the unit that its name ends with.

    Attributes:
        count: of values.
        mean, p50, p90, p99: NaN where there are no values, infinite where that many are infinite.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float


EMPTY = Distribution(0, math.nan, math.nan, math.nan, math.nan)


def distribution_of(values: npt.NDArray[np.number], *, per: float = 1.0) -> Distribution:
    """Distribution of an array, each value divided by `per` (1e6 for ns to ms).

    Infinity stands for "never happened" and sorts last, so that requests that failed count as
    the slowest; a percentile is infinite as soon as one of its two neighbours is.

    Raises:
        ValueError: a value is NaN: it has no place in an order.
    """
    if values.size == 0:
        return EMPTY
    p50, p90, p99 = quantiles(values, QUANTILES)
    return Distribution(
        int(values.size), float(values.mean()) / per, p50 / per, p90 / per, p99 / per
    )


def quantiles(values: npt.NDArray[np.number], shares: tuple[float, ...]) -> list[float]:
    """Quantiles of at least one value; each share from 0 to 1.

    Raises:
        ValueError: there are no values, or one of them is NaN.
    """
    if values.size == 0 or bool(np.isnan(values).any()):
        raise ValueError("quantiles are of at least one value and of no NaN")
    last = values.size - 1
    ranks = [share * last for share in shares]
    whole = sorted({math.floor(rank) for rank in ranks} | {math.ceil(rank) for rank in ranks})
    # A partition costs a fraction of a sort, which counts at a week of requests.
    placed = np.partition(values, whole)
    return [_between(placed, rank) for rank in ranks]


def _between(placed: npt.NDArray[np.number], rank: float) -> float:
    lower, upper = float(placed[math.floor(rank)]), float(placed[math.ceil(rank)])
    # Plain interpolation would make NaN of two infinite neighbours.
    if upper == lower or math.isinf(upper):
        return upper
    return lower + (upper - lower) * (rank - math.floor(rank))
