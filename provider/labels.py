"""The scaling labels of OpenFaaS and the rule of its alert web hook; pure decisions.

Source: contract sections 2.5 and 2.6.
"""

import math
from collections.abc import Mapping
from typing import Final

REPLICAS_MIN_DEFAULT: Final = 1
REPLICAS_MAX_DEFAULT: Final = 5
FACTOR_DEFAULT: Final = 10
FACTOR_MAX: Final = 100

_PREFIX: Final = "com.openfaas.scale."
_DIGITS_MAX: Final = 6


def replicas_min(labels: Mapping[str, str]) -> int:
    """Replicas that a function has at least while it is awake; 1 where the label says nothing sensible."""
    return max(REPLICAS_MIN_DEFAULT, _whole(labels, "min", REPLICAS_MIN_DEFAULT))


def replicas_max(labels: Mapping[str, str]) -> int:
    """Replicas that scaling may give a function, never below its minimum."""
    return max(replicas_min(labels), _whole(labels, "max", REPLICAS_MAX_DEFAULT))


def factor(labels: Mapping[str, str]) -> int | None:
    """Step of one alert as a percentage of the maximum; None where the label is out of 1 to 100."""
    value = _whole(labels, "factor", FACTOR_DEFAULT)
    return value if 0 < value <= FACTOR_MAX else None


def after_alert(status: str, replicas: int, labels: Mapping[str, str]) -> int | None:
    """Replicas that an alert asks for; None where nothing is to change.

    `firing` adds one step up to the maximum, any other status goes back to the minimum.
    """
    step = factor(labels)
    if step is None:
        return None
    wanted = replicas_min(labels)
    if status == "firing":
        maximum = replicas_max(labels)
        wanted = max(wanted, min(maximum, replicas + math.ceil(maximum / 100 * step)))
    return None if wanted == replicas else wanted


def _whole(labels: Mapping[str, str], name: str, default: int) -> int:
    text = labels.get(_PREFIX + name, "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS_MAX:
        return default
    return int(text)
