import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond import limits
from junctiond.errors import HostError, Reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("128Mi", 128 << 20),
        ("1.5Gi", 3 << 29),
        ("20000000", 20_000_000),
        ("500M", 500_000_000),
        ("1e8", 10**8),
        ("1E8", 10**8),
        ("1Ei", 1 << 60),
        ("4194304001m", 4_194_305),
        (".5Gi", 1 << 29),
        ("", None),
    ],
)
def test_memory(text, value):
    assert limits.memory_bytes(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("100m", 100), ("1.5", 1500), ("2", 2000), ("1e-1", 100), ("0.0001", 1), ("", None)],
)
def test_cpu(text, value):
    assert limits.cpu_millicores(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "128mi",
        "-1",
        "abc",
        "1 Gi",
        "1..5",
        "1Zi",
        "0x10",
        "1e999",
        "٣Mi",
        "9" * 70,
        "128",
        "Mi",
        "1Ki ",
    ],
)
def test_a_bad_memory_limit_names_the_mend(text):
    with pytest.raises(HostError, match="128Mi") as caught:
        limits.memory_bytes(text)
    assert caught.value.reason is Reason.LIMITS_INVALID


@pytest.mark.parametrize("text", ["0", "1e12", "many"])
def test_a_bad_cpu_limit_names_the_mend(text):
    with pytest.raises(HostError, match="100m"):
        limits.cpu_millicores(text)


@given(st.text(max_size=70))
def test_any_text_parses_or_is_refused(text):
    try:
        value = limits.memory_bytes(text)
    except HostError as error:
        assert error.reason is Reason.LIMITS_INVALID
    else:
        assert value is None or value >= limits.MEMORY_BYTES_MIN


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60", 60 * 10**9),
        ("1m30s", 90 * 10**9),
        ("500ms", 5 * 10**8),
        ("1.5h", 5400 * 10**9),
        ("-2s", -2 * 10**9),
        ("0", 0),
        ("10us", 10_000),
        ("", None),
        ("1m30", None),
        ("ten", None),
        ("s", None),
        ("-", None),
        ("99999999999h", None),
    ],
)
def test_go_durations(text, value):
    assert limits.go_duration_ns(text) == value
