"""Quantiles out of cumulative histograms. Pure."""

from collections.abc import Sequence


def quantile_s(bounds_s: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The quantile by linear interpolation within its bucket, as Prometheus's histogram_quantile does.

    Args:
        bounds_s: upper bounds of the buckets, ascending, without infinity.
        counts: invocations at or below each bound; one more entry than bounds is the total.
        share: 0 to 1.

    Returns:
        Seconds; the highest bound where the quantile lies above it; None where nothing was counted.
    """
    total = counts[-1] if counts else 0
    if total <= 0:
        return None
    rank = share * total
    below, lower = 0, 0.0
    for upper, count in zip(bounds_s, counts, strict=False):
        if count >= rank and count > below:
            return lower + (upper - lower) * (rank - below) / (count - below)
        below, lower = count, upper
    return bounds_s[-1] if bounds_s else None


def difference(later: Sequence[int], earlier: Sequence[int]) -> list[int]:
    """Counts of the time between two readings; the later reading where the earlier one is of another data plane."""
    if len(later) != len(earlier) or any(b < a for a, b in zip(earlier, later, strict=True)):
        return list(later)
    return [b - a for a, b in zip(earlier, later, strict=True)]
