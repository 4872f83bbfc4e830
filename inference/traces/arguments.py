"""Checks of what a generator is asked for, with errors that name the argument."""

import math

from inference.errors import TraceError


def positive(key: str, value: float, unit: str) -> float:
    """Return the value if it is finite and above 0.

    Raises:
        TraceError: it is not.
    """
    if not (math.isfinite(value) and value > 0):
        expected = f"expected a finite number of {unit} above 0, found {value!r}"
        raise TraceError("argument", key, expected)
    return value


def whole_seed(seed: int) -> int:
    """Return the seed if both generations of NumPy's generators take it.

    Raises:
        TraceError: it is not from 0 to 2^32 - 1.
    """
    if not 0 <= seed < 2**32:
        expected = f"expected a whole number from 0 to {2**32 - 1}, found {seed!r}"
        raise TraceError("argument", "seed", expected)
    return seed


def share(key: str, value: float) -> float:
    """Return the value if it is above 0 and at most 1.

    Raises:
        TraceError: it is not.
    """
    if not 0 < value <= 1:
        raise TraceError("argument", key, f"expected above 0 and at most 1, found {value!r}")
    return value
