"""Times as Go writes and reads them: RFC 3339 with up to nine fractional digits, in UTC."""

import datetime as dt
import re
from typing import Final

NS_PER_S: Final = 1_000_000_000
_ZERO_TIME: Final = "0001-01-01T00:00:00Z"
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?([Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


def written(unix_ns: int) -> str:
    """Unix nanoseconds as RFC 3339 with trailing zeros cut; 0 is Go's zero time."""
    if unix_ns <= 0:
        return _ZERO_TIME
    seconds, fraction = divmod(unix_ns, NS_PER_S)
    whole = (_EPOCH + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


def read(text: str) -> int:
    """RFC 3339 to Unix nanoseconds.

    Raises:
        ValueError: where `text` is not such a time.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=_zone(match[8]))
    seconds = (moment - _EPOCH) // dt.timedelta(seconds=1)
    return seconds * NS_PER_S + int(f"{match[7] or '0':<09.9}")


def _zone(text: str) -> dt.timezone:
    if text in "Zz":
        return dt.UTC
    sign = -1 if text[0] == "-" else 1
    return dt.timezone(sign * dt.timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))
