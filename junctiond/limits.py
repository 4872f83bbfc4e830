"""Kubernetes quantities and Go durations, parsed strictly; and every bound of this daemon in one place.

Grammar of quantities: k8s.io/apimachinery `resource.Quantity` (decimal number, then a binary suffix Ki…Ei, a decimal
suffix n, u, m, k, M, G, T, P, E, or an exponent e3/E3).
"""

import re
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

from junctiond.errors import HostError, Reason

REPLICAS_MAX = 1000
ENV_BYTES_MAX = 1024 * 1024
SECRET_BYTES_MAX = 1024 * 1024
SECRETS_PER_FUNCTION_MAX = 128
DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
MEMORY_BYTES_MIN = 4 * 1024 * 1024
"""Below this no program of any kind starts: the caller forgot the suffix."""
CPU_MILLICORES_MIN = 1

_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<suffix>[eE][+-]?\d{1,3}|[A-Za-z]{0,2})")
_SUFFIXES: dict[str, Fraction] = {
    "": Fraction(1),
    **{f"{prefix}i": Fraction(1024 ** (power + 1)) for power, prefix in enumerate("KMGTPE")},
    **{suffix: Fraction(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)},
    **{suffix: Fraction(10) ** (3 * power) for power, suffix in enumerate("kMGTPE", start=1)},
}
_EXPONENT_MAX = 24

_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
DURATION_NS_MAX = 2**63 - 1
"""What Go's time.Duration holds."""


def quantity(text: str, what: str) -> Fraction:
    """The value of a Kubernetes quantity.

    Args:
        text: as the caller wrote it.
        what: the field's name, for the error.

    Raises:
        HostError: limits_invalid.
    """
    match = _QUANTITY.fullmatch(text) if len(text) <= 64 else None
    scale = _scale(match["suffix"]) if match else None
    if match is None or scale is None:
        raise HostError(
            Reason.LIMITS_INVALID,
            f"{what} {text[:64]!r} is no quantity: write for example 128Mi, 1.5Gi, 500M, 100m or 0.5",
        )
    return Fraction(match["number"]) * scale


def memory_bytes(text: str, what: str = "limits.memory") -> int | None:
    """Bytes, rounded up; None for an empty text. Raises HostError(limits_invalid)."""
    if not text:
        return None
    value = -(-quantity(text, what) // 1)
    if value < MEMORY_BYTES_MIN:
        raise HostError(
            Reason.LIMITS_INVALID,
            f"{what} {text!r} is {int(value)} bytes, too little for any program: write for example 128Mi",
        )
    if value > 2**62:
        raise HostError(Reason.LIMITS_INVALID, f"{what} {text!r} is more than any machine has")
    return int(value)


def cpu_millicores(text: str, what: str = "limits.cpu") -> int | None:
    """Thousandths of a core, rounded up; None for an empty text. Raises HostError(limits_invalid)."""
    if not text:
        return None
    value = -(-quantity(text, what) * 1000 // 1)
    if not CPU_MILLICORES_MIN <= value <= 10_000_000:
        raise HostError(
            Reason.LIMITS_INVALID, f"{what} {text!r} is out of range: write for example 100m or 2"
        )
    return int(value)


def go_duration_ns(text: str) -> int | None:
    """Whole seconds ("60") or a Go duration ("1m30s", "500ms"); None where it is neither.

    None and not an error: the watchdogs take their default for what they cannot read.
    """
    if not text or len(text) > 64:
        return None
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.removeprefix("+"))
    if digits.isascii() and digits.isdigit():
        return _bounded(sign * int(digits) * 1_000_000_000)
    total = Decimal(0)
    position = 0
    while position < len(digits):
        match = _DURATION_PART.match(digits, position)
        if match is None:
            return None
        total += Decimal(match[1]) * _UNITS_NS[match[2]]
        position = match.end()
    return _bounded(sign * int(total.to_integral_value(ROUND_CEILING))) if digits else None


def _bounded(value_ns: int) -> int | None:
    return value_ns if abs(value_ns) <= DURATION_NS_MAX else None


def _scale(suffix: str) -> Fraction | None:
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        exponent = int(suffix[1:])
        return Fraction(10) ** exponent if abs(exponent) <= _EXPONENT_MAX else None
    return _SUFFIXES.get(suffix)
