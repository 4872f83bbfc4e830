import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider import gotime


@pytest.mark.parametrize(
    ("unix_ns", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_795_330_955_901_833_000, "2026-11-22T07:02:35.901833Z"),
        (1_795_330_958_241_655_360, "2026-11-22T07:02:38.24165536Z"),
        (1_795_330_955_000_000_000, "2026-11-22T07:02:35Z"),
    ],
)
def test_written(unix_ns: int, text: str) -> None:
    assert gotime.written(unix_ns) == text


@pytest.mark.parametrize(
    ("text", "unix_ns"),
    [
        ("2026-11-22T07:02:35Z", 1_795_330_955_000_000_000),
        ("2026-11-22T07:02:35.9Z", 1_795_330_955_900_000_000),
        ("2026-11-22T09:32:35.000000001+02:30", 1_795_330_955_000_000_001),
        ("2026-11-22T06:02:35-01:00", 1_795_330_955_000_000_000),
    ],
)
def test_read(text: str, unix_ns: int) -> None:
    assert gotime.read(text) == unix_ns


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-22", "2026-11-22T07:02:35", "2026-13-22T07:02:35Z", "2026-02-30T07:02:35Z",
     "2026-11-22T07:02:35+25:00", "2026-11-22T07:02:35Z\n", "٢٠٢٦-11-22T07:02:35Z"],
)  # fmt: skip
def test_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        gotime.read(text)


@given(st.integers(1, 4 * 10**18))
def test_round_trip(unix_ns: int) -> None:
    text = gotime.written(unix_ns)
    assert gotime.read(text) == unix_ns
    assert dt.datetime.fromisoformat(text).tzinfo is not None
