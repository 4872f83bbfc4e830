from inference.domain.action import MoveRequest, ReorderQueue, SetClock, SquashRequest
from inference.domain.view import Resident
from inference.policies.dynamo.escalation import Escalation, Refuge, Trouble

_MS = 10**6
NOW = 10_000 * _MS


def _promised_ms(prompt_tokens: int) -> float:
    return 250.0 if prompt_tokens < 256 else 2_000.0


LADDER = Escalation(_promised_ms)


def _slow(tokens: float) -> float:
    return tokens * 0.5


def _fast(tokens: float) -> float:
    return tokens * 0.2


def _waits(request_id: int, waited_ms: int, prompt: int, started: bool = False) -> Resident:
    return Resident(request_id, NOW - waited_ms * _MS, prompt, 50, 0, started)


def _trouble(*residents: Resident, clock_mhz: int = 800) -> Trouble:
    return Trouble(3, residents, clock_mhz, 1980, _slow, _fast)


def test_nothing_happens_while_all_are_in_time():
    assert LADDER.decide(_trouble(_waits(0, 100, 100), _waits(1, 0, 1_000)), (), NOW) == ()
    assert LADDER.decide(_trouble(_waits(0, 9_000, 100, started=True)), (), NOW) == ()


def test_first_the_queue_is_put_in_order_of_deadlines():
    actions = LADDER.decide(_trouble(_waits(0, 100, 1_000), _waits(1, 0, 200)), (), NOW)
    assert actions == (ReorderQueue(3, (1, 0)),)


def test_then_the_clock_rises():
    actions = LADDER.decide(_trouble(_waits(1, 100, 200), _waits(2, 60, 200)), (), NOW)
    assert actions == (SetClock(3, 1980, 0),)


def test_then_requests_move_to_who_has_room_for_them():
    crowd = tuple(_waits(k, 100, 250) for k in range(6))
    refuges = (Refuge(7, 60.0, _fast), Refuge(8, 110.0, _fast))
    actions = LADDER.decide(_trouble(*crowd), refuges, NOW)
    moves = [one for one in actions if isinstance(one, MoveRequest)]
    assert SetClock(3, 1980, 0) in actions
    assert [(one.request_id, one.target) for one in moves] == [(3, 8), (4, 7), (5, 8)]
    assert not [one for one in actions if isinstance(one, SquashRequest)]


def test_at_last_the_hopeless_are_given_up_and_only_they():
    actions = LADDER.decide(
        _trouble(_waits(0, 2_600, 200), _waits(1, 300, 200), clock_mhz=1980), (), NOW
    )
    assert actions == (SquashRequest(0, 3),)
    strict = Escalation(_promised_ms, squash_factor=1.0)
    given_up = strict.decide(
        _trouble(_waits(0, 2_600, 200), _waits(1, 300, 200), clock_mhz=1980), (), NOW
    )
    assert given_up == (SquashRequest(0, 3), SquashRequest(1, 3))


def test_a_request_that_would_be_late_there_too_does_not_move():
    crowd = (_waits(0, 240, 250), _waits(1, 240, 250))
    actions = LADDER.decide(_trouble(*crowd, clock_mhz=1980), (Refuge(7, 500.0, _fast),), NOW)
    assert actions == ()
