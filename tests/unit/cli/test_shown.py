import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.cli import logs, shown
from junctiond.cli.session import CommandError
from junctiond.domain import LogRecord

S = 1_000_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (61, "1m01s"), (3 * 3600 + 12 * 60, "3h12m"), (90_000, "1d01h")],
)
def test_age(seconds: int, text: str) -> None:
    assert shown.age(5 * S, (5 + seconds) * S) == text


def test_age_of_nothing_and_of_the_future() -> None:
    assert shown.age(0, 5 * S) == "-"
    assert shown.age(9 * S, 5 * S) == "0s"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "-"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5.0 TiB")],
)
def test_size(count: int, text: str) -> None:
    assert shown.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.000075, "75 µs"), (0.0123, "12.3 ms"), (2.5, "2.50 s")]
)
def test_duration(seconds: float, text: str) -> None:
    assert shown.duration(seconds) == text


@given(st.text())
def test_printable_text_cannot_steer_a_terminal(text: str) -> None:
    assert all(char == "\t" or char.isprintable() for char in shown.printable(text))


def test_log_line() -> None:
    record = LogRecord(
        "a", "openfaas-fn", "a.openfaas-fn.1", 1_700_000_000 * S, "[red]\x1b[2J", "stdout"
    )
    assert (
        logs.line(record, times=True).plain
        == "2023-11-14T22:13:20.000Z a.openfaas-fn.1 [red]\\x1b[2J"
    )
    assert logs.line(record, times=False).plain == "[red]\\x1b[2J"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("5m", 700 * S),
        ("90", 910 * S),
        ("1970-01-01T00:00:10Z", 10 * S),
        ("1970-01-01T01:00:10.5+01:00", 10 * S + S // 2),
        ("1970-01-01", 0),
        ("99h", 0),
    ],
)
def test_since(text: str, expected: int) -> None:
    assert logs.parse_since(text, 1000 * S) == expected


def test_since_that_is_no_time() -> None:
    with pytest.raises(CommandError, match="yesterday") as caught:
        logs.parse_since("yesterday", 0)
    assert "5m" in caught.value.mend


def test_names() -> None:
    assert logs.split_name("aes") == ("aes", "openfaas-fn")
    assert logs.split_name("aes.dev") == ("aes", "dev")
