"""Isotonic regression, for times that must not fall with more work."""


def monotone(values: list[float]) -> list[float]:
    """The nearest sequence that never falls: neighbours that do are pooled."""
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (right, more), (left, some) = pools.pop(), pools.pop()
            pools.append(((left * some + right * more) / (some + more), some + more))
    return [mean for mean, count in pools for _ in range(count)]
