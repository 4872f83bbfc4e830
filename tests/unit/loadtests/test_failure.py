"""Goal: whatever a step throws is a line with its reason, and the run goes on."""

import pytest

from loadtests.failure import TRIES, Attempts, Place, leaves, reason
from loadtests.gateway import GatewayRefused
from loadtests.mark import WORDS_MAX, shortened

PLACE = Place("warm", "aes", "ring", "split")


def raising(error: BaseException):
    def do() -> None:
        raise error

    return do


def test_a_failure_is_kept_said_and_counted():
    said: list[str] = []
    attempts = Attempts(said.append)
    assert attempts.run(PLACE, "open loop", lambda: None)
    assert not attempts.marks
    for number in range(TRIES):
        assert not attempts.given_up(PLACE, "open loop")
        assert not attempts.run(PLACE, "open loop", raising(GatewayRefused("503 busy")), number)
    assert attempts.given_up(PLACE, "open loop")
    assert not attempts.given_up(PLACE, "new connections")
    assert said[-1] == "failed: aes ring: open loop, round 1: 503 busy"


def test_what_nobody_foresaw_names_its_place():
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 // 0
    assert "ZeroDivisionError at test_failure.py:" in reason(caught.value)


def test_a_group_of_failures_is_told_apart():
    inner = ExceptionGroup("workers", [GatewayRefused("a"), GatewayRefused("a"), TimeoutError()])
    group = ExceptionGroup("all", [inner])
    assert len(list(leaves(group))) == 3
    assert reason(group) == "a; TimeoutError"


def test_ctrl_c_ends_the_run():
    attempts = Attempts(lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        attempts.run(PLACE, "open loop", raising(KeyboardInterrupt()))
    assert not attempts.marks


def test_reasons_are_one_short_line():
    assert shortened("a\n  b") == "a b"
    assert len(shortened("x" * 1000)) == WORDS_MAX
