from inference.policies.dynamo.instance import ClockGovernor
from inference.policies.dynamo.survey import survey
from tests.unit.inference.dynamo.fake_hardware import BENCH, workloads

PROFILE = survey(workloads()[:1], BENCH, (8,))
GOVERNOR = ClockGovernor(PROFILE)


def test_an_unchanged_clock_is_no_command():
    load = PROFILE.load_max(0, 8) / 2
    best = PROFILE.best_clock(0, 8, load)
    assert best is not None
    assert GOVERNOR.clock(0, 8, load, 1980) == best != 1980
    assert GOVERNOR.clock(0, 8, load, best) is None


def test_overload_asks_for_the_highest_clock():
    assert GOVERNOR.clock(0, 8, PROFILE.load_max(0, 8) * 3, 800) == 1980
    assert GOVERNOR.clock(0, 8, PROFILE.load_max(0, 8) * 3, 1980) is None


def test_the_clock_is_for_the_present_load_without_a_margin():
    slow = PROFILE.best_clock(0, 8, PROFILE.load_max(0, 8) / 2)
    assert slow is not None
    edge = PROFILE.load_max(0, 8, slow)
    assert GOVERNOR.clock(0, 8, edge, 1980) == PROFILE.best_clock(0, 8, edge)
