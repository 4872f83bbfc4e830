"""Goal: the modelled meter is its curve times its utilisation, no more, and never calls itself measured."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import HardwareError, ProfileError
from inference.meters.cpu_model import (
    CpuModelMeter,
    CpuTimes,
    PowerCurve,
    parse_stat,
    utilisation,
)
from inference.meters.protocols import Scope
from inference.models.provenance import Origin, Provenance
from tests.unit.inference.meters import trees

SECOND = 1_000_000_000
STATED = Provenance(Origin.MODELLED, "the test", "no machine", "2026", "test curve")


def line(idle_w, busy_w):
    return PowerCurve(((0.0, idle_w), (1.0, busy_w)), STATED)


def test_energy_is_curve_times_time(tmp_path):
    host = trees.virtual_machine(tmp_path)
    meter = CpuModelMeter(line(100.0, 300.0), host)
    assert meter.read(0).energy_uj == {"cpu": 0}
    trees.stat(host, user=50, idle=50)
    assert meter.read(SECOND).energy_uj == {"cpu": 200_000_000}
    trees.stat(host, user=50, idle=150)
    assert meter.read(2 * SECOND).energy_uj == {"cpu": 300_000_000}


def test_reads_within_one_tick_go_on_at_the_last_utilisation(tmp_path):
    host = trees.virtual_machine(tmp_path)
    meter = CpuModelMeter(line(0.0, 200.0), host)
    meter.read(0)
    trees.stat(host, user=100, idle=0)
    assert meter.read(SECOND).energy_uj["cpu"] == 200_000_000
    assert meter.read(SECOND + 5_000_000).energy_uj["cpu"] == 201_000_000


def test_it_says_that_it_models_and_by_whose_curve(tmp_path):
    meter = CpuModelMeter(line(1.0, 2.0), trees.virtual_machine(tmp_path))
    assert meter.coverage.origin is Origin.MODELLED
    assert meter.coverage.scopes == {Scope.PACKAGE}
    assert "test curve" in meter.coverage.domains[0].note


def test_a_real_line_of_proc_stat():
    """Recorded on a virtual machine under load: steal is not ours, guests are in user."""
    text = (
        "cpu  2546823 454601 1150317 2374404 22275 0 167852 35909 0 0\ncpu0 1216878 213785 590384\n"
    )
    times = parse_stat(text, "/proc/stat")
    assert times.busy == 2546823 + 454601 + 1150317 + 167852
    assert times.idle == 2374404 + 22275 + 35909


@pytest.mark.parametrize(
    "text", ["", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 x 4 5 6 7 8", "intr 5"]
)
def test_another_proc_stat_is_refused(text):
    with pytest.raises(HardwareError, match=r"here/stat: begins .* expected 'cpu'"):
        parse_stat(text, "here/stat")


def test_old_kernels_have_no_steal():
    assert parse_stat("cpu 1 2 3 4 5 6 7", "s") == CpuTimes(1 + 2 + 3 + 6 + 7, 4 + 5)


TIMES = st.builds(CpuTimes, st.integers(0, 10**9), st.integers(0, 10**9))


@given(TIMES, TIMES)
def test_utilisation_stays_a_share_whatever_runs_backwards(before, after):
    assert 0.0 <= utilisation(before, after) <= 1.0


@given(st.floats(0, 500), st.floats(0, 500), st.floats(-1, 2), st.sampled_from([1.0, 1.2, 1.4]))
def test_the_curve_stays_between_its_ends(low, more, u, exponent):
    curve = PowerCurve.between(low, low + more, STATED, exponent)
    assert round(1000 * low) - 1 <= curve.power_mw(u) <= round(1000 * (low + more)) + 1


def test_the_curve_of_fan_weber_barroso():
    curve = PowerCurve.between(100.0, 200.0, STATED)
    assert curve.power_mw(0.0) == 100_000
    assert curve.power_mw(1.0) == 200_000
    assert curve.power_mw(0.5) == round(1000 * (100 + 100 * (1 - 0.5**1.4)))
    assert PowerCurve.between(100.0, 200.0, STATED, 1.0).power_mw(0.33) == pytest.approx(133_000)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ((), "from utilisation 0 to 1"),
        (((0.0, 1.0),), "from utilisation 0 to 1"),
        (((0.1, 1.0), (1.0, 2.0)), "from utilisation 0 to 1"),
        (((0.0, 1.0), (0.6, 1.0), (0.5, 1.0), (1.0, 2.0)), "rising"),
        (((0.0, -1.0), (1.0, 2.0)), "finite watts"),
        (((0.0, 1.0), (1.0, math.nan)), "finite watts"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(points, expected):
    with pytest.raises(ProfileError, match=f"test curve: points: .*{expected}"):
        PowerCurve(points, STATED)
