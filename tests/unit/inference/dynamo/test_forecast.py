import pytest

from inference.policies.dynamo.forecast import SLOT_NS, Calendar, WeeklyTemplate

_HOUR_NS = 3_600 * 10**9
_DAY_NS = 24 * _HOUR_NS


def _busy_at_noon(at_ns: int, weekend: bool) -> float:
    hour = at_ns % _DAY_NS // _HOUR_NS
    return (2.0 if weekend else 10.0) if 9 <= hour < 17 else 1.0


def _learn(template: WeeklyTemplate, days: int, first_weekday: int = 0) -> None:
    for at_ns in range(0, days * _DAY_NS, SLOT_NS):
        weekend = (first_weekday + at_ns // _DAY_NS) % 7 >= 5
        template.observe(at_ns, [_busy_at_noon(at_ns, weekend)])


def test_the_next_epochs_peak_is_seen_before_it_comes():
    template = WeeklyTemplate(1, headroom=0.0)
    _learn(template, 7)
    before_nine = 7 * _DAY_NS + 9 * _HOUR_NS - 1_500 * 10**9
    assert template.peak(before_nine, 1_800 * 10**9)[0] == pytest.approx(10.0)
    assert template.peak(before_nine - _HOUR_NS, 1_800 * 10**9)[0] == pytest.approx(1.0)


def test_weekends_have_their_own_template():
    template = WeeklyTemplate(1, headroom=0.0)
    _learn(template, 7)
    saturday_noon = 12 * _DAY_NS + 12 * _HOUR_NS
    assert template.peak(saturday_noon, SLOT_NS)[0] == pytest.approx(2.0)


def test_the_run_may_begin_on_any_weekday_and_hour():
    template = WeeklyTemplate(1, Calendar(weekday=4, offset_ns=12 * _HOUR_NS), headroom=0.0)
    assert template._calendar.slot(0, SLOT_NS) == (False, 144)
    assert template._calendar.slot(13 * _HOUR_NS, SLOT_NS) == (True, 12)


def test_a_day_above_its_template_raises_the_forecast_but_not_without_bound():
    template = WeeklyTemplate(1, headroom=0.1, surge_max=1.5)
    _learn(template, 5)
    now = 7 * _DAY_NS + 10 * _HOUR_NS
    template.observe(now, [12.0])
    assert template.peak(now + SLOT_NS, SLOT_NS)[0] == pytest.approx(1.2 * 10 * 1.1, rel=0.05)
    template.observe(now + SLOT_NS, [100.0])
    assert template.peak(now + 2 * SLOT_NS, SLOT_NS)[0] == pytest.approx(1.5 * 10 * 1.1)


def test_without_history_the_last_observation_stands():
    template = WeeklyTemplate(2, headroom=0.5)
    assert template.peak(0, _HOUR_NS).tolist() == [0.0, 0.0]
    template.observe(0, [4.0, 2.0])
    assert template.peak(SLOT_NS, SLOT_NS).tolist() == [6.0, 3.0]


def test_a_slot_must_divide_the_day():
    with pytest.raises(ValueError, match="divide"):
        WeeklyTemplate(1, slot_ns=7)
