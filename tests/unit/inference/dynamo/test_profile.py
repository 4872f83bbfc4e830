from functools import cache

import numpy as np
import pytest

from inference.errors import ProfileError
from inference.policies.dynamo.profile import Cell, EnergyProfile, interpolate
from inference.policies.dynamo.steady import ReplicaLoad
from inference.policies.dynamo.survey import batch_max, survey
from tests.unit.inference.dynamo.fake_hardware import (
    BENCH,
    GPU,
    MODEL,
    MODELLED,
    FakeLatency,
    FakePower,
    workloads,
)


@cache
def surveyed() -> EnergyProfile:
    return survey(workloads()[::4], BENCH)


def _replica(work: int, tp: int, clock: int) -> ReplicaLoad:
    workload = workloads()[work]
    tokens = workload.prompt_tokens_mean + workload.output_tokens_mean
    latency, power = FakeLatency(tp, clock), FakePower(tp, clock)
    return ReplicaLoad(latency, power, workload, batch_max(MODEL, GPU, tp, tokens))


@pytest.mark.parametrize(
    ("index", "tp", "clock"), [(0, 2, 1800), (0, 8, 1200), (1, 4, 1980), (2, 8, 1600)]
)
def test_interpolated_power_is_within_two_percent(index, tp, clock):
    cell = surveyed().cell(index, tp, clock)
    replica = _replica(4 * index, tp, clock)
    loads = np.linspace(0, cell.load_max_per_s, 67)
    exact = [replica.at(float(load)).power_w for load in loads]
    ours = [cell.power_at(float(load)) for load in loads]
    assert np.abs(np.divide(ours, exact) - 1).max() < 0.02


def test_objectives_hold_at_every_load_of_a_cell_and_fail_just_beyond():
    cell = surveyed().cell(2, 8, 1980)
    replica = _replica(8, 8, 1980)
    assert all(replica.at(load).feasible for load in cell.loads_per_s)
    assert not replica.at(cell.load_max_per_s * 1.01).feasible


def test_more_clock_and_more_gpus_sustain_more():
    profile = surveyed()
    for index in range(3):
        for tp in profile.tps:
            loads = [profile.load_max(index, tp, clock) for clock in profile.clocks_mhz]
            assert loads == sorted(loads)
        assert sorted(profile.tps, key=lambda tp: profile.load_max(index, tp)) == [2, 4, 8]


def test_the_best_clock_is_the_cheapest_that_keeps_up():
    profile = surveyed()
    load = profile.load_max(0, 8, 1200) * 0.9
    best = profile.best_clock(0, 8, load)
    powers = {
        c: profile.power(0, 8, c, load)
        for c in profile.clocks_mhz
        if profile.load_max(0, 8, c) >= load
    }
    assert best in powers
    assert powers[best] == min(powers.values())
    assert profile.best_clock(0, 8, profile.load_max(0, 8) * 1.1) is None


def test_a_load_beyond_the_profile_is_counted():
    profile = survey(workloads()[:1], BENCH, (8,), (1980,))
    cell = profile.cell(0, 8, 1980)
    assert profile.power(0, 8, 1980, cell.load_max_per_s * 2) == cell.power_w[-1]
    assert (profile.coverage.lookups, profile.coverage.extrapolated) == (1, 1)


def test_batch_and_load_are_inverse():
    cell = surveyed().cell(1, 8, 1980)
    for load, batch in zip(cell.loads_per_s, cell.batch, strict=True):
        assert cell.load_at(batch) == pytest.approx(load)


def test_interpolation_is_numpys():
    xs, ys = (0.0, 1.0, 3.0), (5.0, 7.0, 1.0)
    for x in (-1.0, 0.0, 0.3, 1.0, 2.9, 3.0, 9.0):
        assert interpolate(xs, ys, x) == pytest.approx(float(np.interp(x, xs, ys)))


def test_missing_cells_and_unknown_settings_are_named():
    with pytest.raises(ProfileError, match="tp2 800 MHz"):
        EnergyProfile(["SS"], {}, 70.0, MODELLED)
    with pytest.raises(ProfileError, match="tp3"):
        surveyed().cell(0, 3, 800)
    empty = Cell((), (), (), (), (), 1.0)
    with pytest.raises(ValueError, match="no points"):
        empty.power_at(1.0)
