"""The statistics of the measurements, without I/O. docs/metrics.md defines the words."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def quantile(samples: Sequence[float], share: float) -> float:
    """The nearest-rank quantile: the smallest sample with at least `share` of all samples at or below it.

    No interpolation: every figure reported is a latency that some invocation really had.

    Raises:
        ValueError: there are no samples, or `share` is outside 0 to 1.
    """
    if not samples:
        raise ValueError("a quantile needs at least one sample")
    if not 0 <= share <= 1:
        raise ValueError(f"share {share} is outside 0 to 1")
    # Tenths of a per mille as integers: 0.99 * 100 is 99.00000000000001 in floats, one rank too far.
    scaled = round(share * 10_000)
    rank = -(-len(samples) * scaled // 10_000)
    return sorted(samples)[max(rank, 1) - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over rounds: the median and the extremes."""

    median: float
    least: float
    most: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """Summarises one value per round.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("a spread needs at least one round")
    return Spread(median(values), min(values), max(values), len(values))


def paired_ratio(values: Sequence[float], baselines: Sequence[float]) -> float | None:
    """The median over rounds of value / baseline of the same round.

    A ratio of medians would compare a quiet round of one with a noisy round of the other; pairs from one round saw
    about the same machine. None where a baseline is zero or less, as a difference drowned in noise may be.

    Raises:
        ValueError: the rounds do not pair up.
    """
    if len(values) != len(baselines) or not values:
        raise ValueError(f"{len(values)} values beside {len(baselines)} baselines do not pair up")
    if min(baselines) <= 0:
        return None
    return median(value / base for value, base in zip(values, baselines, strict=True))


def paired_difference(values: Sequence[float], baselines: Sequence[float]) -> float:
    """The median over rounds of value - baseline of the same round: what a hop adds.

    Raises:
        ValueError: the rounds do not pair up.
    """
    if len(values) != len(baselines) or not values:
        raise ValueError(f"{len(values)} values beside {len(baselines)} baselines do not pair up")
    return median(value - base for value, base in zip(values, baselines, strict=True))


def cumulative(samples: Sequence[float], points: int = 500) -> list[tuple[float, float]]:
    """Points (sample, share of samples at or below it) of the distribution, at most about `points` many."""
    ordered = sorted(samples)
    step = max(1, len(ordered) // points)
    ranks = [*range(step, len(ordered), step), len(ordered)] if ordered else []
    return [(ordered[rank - 1], rank / len(ordered)) for rank in ranks]
