"""Goal: carbon is the integral of power times intensity, however either is cut, and files that are wrong say how."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import ProfileError
from inference.models.carbon import (
    DAY_NS,
    HOUR_NS,
    Between,
    IntensitySeries,
    duck_curve,
    read_intensity,
)
from inference.models.energy import PowerSeries, kilowatt_hours, power_series
from inference.models.provenance import Origin, Provenance

ANY = Provenance(Origin.MODELLED, "test", "nothing", "", "nowhere")
HEADER = "".join(
    f'# {key} = "{value}"\n'
    for key, value in {
        "origin": "measured",
        "by": "a",
        "on": "b",
        "when": "c",
        "source": "d",
        "licence": "e",
        "note": "",
    }.items()
)


def series(times, values, between=Between.STEP, period_ns=0):
    return IntensitySeries(np.array(times), np.array(values, dtype=float), between, period_ns, ANY)


def by_small_steps(intensity, power, steps=5_000):
    edges = np.linspace(power.edge_ns[0], power.edge_ns[-1], steps + 1).astype(np.int64)
    middles = (edges[1:] + edges[:-1]) // 2
    return float(np.dot(np.diff(power.energy_until_j(edges)), intensity.at(middles))) / 3.6e9


def test_constant_intensity_is_energy_times_it():
    power = power_series(HOUR_NS, [1000.0, 3000.0])
    assert series([0], [250.0]).mass_kg(power) == pytest.approx(4.0 * 0.250)


def test_a_step_changes_at_its_time_and_a_line_between():
    power = power_series(HOUR_NS, [1000.0] * 2)
    assert series([0, HOUR_NS], [100.0, 300.0]).mass_kg(power) == pytest.approx(0.4)
    assert series([0, 2 * HOUR_NS], [100.0, 300.0], Between.LINEAR).mass_kg(power) == pytest.approx(
        0.4
    )


@pytest.mark.parametrize("between", list(Between))
@pytest.mark.parametrize("period", [0, 10 * HOUR_NS])
@settings(max_examples=30)
@given(data=st.data())
def test_the_integral_is_that_of_many_small_steps(between, period, data):
    count = data.draw(st.integers(1, 6))
    values = data.draw(st.lists(st.floats(0, 800), min_size=count, max_size=count))
    times = np.arange(count) * HOUR_NS
    intensity = series(times, values, between, period)
    watts = data.draw(st.lists(st.floats(0, 5000), min_size=1, max_size=4))
    power = power_series(5 * HOUR_NS, watts, start_ns=data.draw(st.integers(0, 30)) * HOUR_NS)
    exact = intensity.mass_kg(power)
    assert exact == pytest.approx(by_small_steps(intensity, power), rel=1e-2, abs=5e-2)


def test_a_day_of_constant_power_on_the_duck_is_its_mean_wherever_it_begins():
    power = power_series(DAY_NS, [1000.0])
    for start in (0, 5, 23):
        mass = duck_curve(start).mass_kg(power)
        assert mass == pytest.approx(24 * 0.2357, rel=1e-3)


def test_the_duck_has_its_valley_at_noon_and_its_peak_in_the_evening():
    duck = duck_curve()
    hours = duck.at(HOUR_NS * np.arange(24))
    assert 11 <= int(hours.argmin()) <= 14
    assert 18 <= int(hours.argmax()) <= 21
    assert duck.at(3 * DAY_NS + 12 * HOUR_NS) == hours[12]
    assert duck_curve(12).at(0) == hours[12]
    assert duck.provenance.origin is Origin.MODELLED


def test_less_power_in_the_evening_saves_more_than_at_noon():
    full = np.full(24, 1000.0)
    noon, evening = full.copy(), full.copy()
    noon[12], evening[20] = 0.0, 0.0
    duck = duck_curve()
    assert duck.mass_kg(power_series(HOUR_NS, evening)) < duck.mass_kg(power_series(HOUR_NS, noon))


def test_outside_the_series_its_ends_hold_and_are_told():
    intensity = series([HOUR_NS, 2 * HOUR_NS], [100.0, 300.0])
    assert intensity.at([0, 5 * HOUR_NS]).tolist() == [100.0, 300.0]
    assert intensity.outside_ns(0, 4 * HOUR_NS) == 3 * HOUR_NS
    assert duck_curve().outside_ns(0, 400 * DAY_NS) == 0
    power = PowerSeries(np.array([0, 4 * HOUR_NS]), np.array([1000.0]))
    assert intensity.mass_kg(power) == pytest.approx(0.1 + 0.1 + 0.3 + 0.3)
    assert kilowatt_hours(power.energy_j) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("times", "values", "period", "message"),
    [
        ([], [], 0, "at least one"),
        ([0, 0], [1.0, 1.0], 0, "ascending"),
        ([0], [-1.0], 0, "at least 0"),
        ([0], [np.nan], 0, "finite"),
        ([5], [1.0], 10, "begins at 0"),
        ([0, 10], [1.0, 1.0], 10, "before its period"),
    ],
)
def test_broken_series_are_refused(times, values, period, message):
    with pytest.raises(ValueError, match=message):
        series(np.array(times, dtype=np.int64), values, period_ns=period)


def test_a_file_becomes_a_series(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text(HEADER + "time_s,g_per_kwh\n0,100\n3600,300\n")
    intensity = read_intensity(path, Between.LINEAR, 2 * HOUR_NS)
    assert intensity.at([HOUR_NS // 2, HOUR_NS + HOUR_NS // 2]).tolist() == [200.0, 200.0]
    assert intensity.provenance.origin is Origin.MEASURED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,g_per_kwh\n0,100\n", "header origin"),
        (HEADER + "time_s,grams\n0,1\n", "g_per_kwh: expected this column"),
        (HEADER + "time_s,g_per_kwh\n0,x\n", "g_per_kwh of row 1: expected a finite number"),
        (HEADER + "time_s,g_per_kwh\n0,-4\n", "g_per_kwh of row 1: expected at least 0, found -4"),
        (HEADER + "time_s,g_per_kwh\n5,1\n2,1\n", "strictly ascending"),
    ],
)
def test_files_that_are_wrong_say_where(tmp_path, text, message):
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(ProfileError, match=f"grid.csv: .*{message}"):
        read_intensity(path)


def test_points_beyond_the_period_are_refused(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text(HEADER + "time_s,g_per_kwh\n0,100\n90000,300\n")
    with pytest.raises(ProfileError, match=r"grid.csv: time_s: .*before its period \(86400 s\)"):
        read_intensity(path, period_ns=DAY_NS)
