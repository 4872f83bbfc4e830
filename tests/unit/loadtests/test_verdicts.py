"""Goal: a goal counts what was measured for it, in its placement and attachment, and says what was not."""

from loadtests import goals
from loadtests.goals import Bound, Of
from loadtests.verdicts import Amounts, Key, amount, find, judge

FRESH = "fresh_latency_us_p50"


def verdict_of(name, measured):
    (one,) = [verdict for verdict in judge(measured) if verdict.goal.name == name]
    return one


def test_a_bound_limits_a_value_a_ratio_or_a_difference():
    amounts = Amounts(70, 1.4, 20)
    found = [amount(Bound("x_us", of, 0), amounts) for of in Of]
    assert found == [70, 1.4, 20]


def test_bounds_hold_at_their_limit():
    at_most = Bound("x_us", Of.VALUE, 4, "us", stretch=2)
    assert (at_most.met(4), at_most.met(4.1)) == (True, False)
    assert (at_most.stretch_met(2), at_most.stretch_met(3)) == (True, False)
    at_least = Bound("x_us", Of.RATIO, 0.75, at_most=False)
    assert (at_least.met(0.75), at_least.met(0.7), at_least.stretch_met(1)) == (True, False, None)


def test_bounds_as_text():
    assert str(Bound("x", Of.DIFFERENCE, 15, "us", baseline="bare")) == "<= bare + 15 us"
    assert str(Bound("x", Of.RATIO, 1.4, at_most=False, baseline="nginx")) == ">= 1.4 x nginx"
    assert str(Bound("leaked10000_count", Of.VALUE, 0)) == "<= 0"
    assert Bound("x", Of.VALUE, 1).text(None) == ""


def test_nothing_measured_is_no_verdict():
    assert all(verdict.met is None for verdict in judge({}))


def test_a_goal_is_met_when_every_function_keeps_every_bound():
    (goal,) = [one for one in goals.GOALS if one.name == "new-connection"]
    keys = [
        Key("fresh", subject, bound.attachment, "split", FRESH, "bare")
        for bound in goal.bounds
        for subject in bound.subjects
    ]
    measured = {key: Amounts(60, 1.1, 5) for key in keys}
    assert verdict_of("new-connection", measured).met is True
    assert verdict_of("new-connection", {**measured, keys[0]: Amounts(90, 1.5, 30)}).met is False
    del measured[keys[0]]
    assert verdict_of("new-connection", measured).met is None


def test_another_placement_attachment_or_baseline_is_not_counted():
    right = Key("warm", "epoll", "ring", "split", "latency_us_p50", "bare")
    assert find(right) is not None
    for wrong in (
        right._replace(placement="one"),
        right._replace(attachment="mixed"),
        right._replace(baseline="bridge"),
        right._replace(benchmark="faasd"),
        right._replace(subject="cgi"),
    ):
        assert find(wrong) is None
