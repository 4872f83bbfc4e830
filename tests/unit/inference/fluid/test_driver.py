from functools import cache

import numpy as np
import pytest

from inference.fluid.demand import Demand, demand_of
from inference.fluid.driver import FluidResult, Site, run_fluid
from inference.fluid.fleet import Fleet, draw_of
from inference.policies.dynamo.baselines import COMPOSITIONS
from inference.policies.dynamo.classes import PAPER_MIX, TABLE_IV
from inference.policies.dynamo.pool import Change
from inference.policies.dynamo.predictor import ClassPredictor
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.spill import Equivalence
from inference.policies.dynamo.survey import survey
from inference.traces.rates import RateSeries
from tests.unit.inference.dynamo.fake_hardware import BENCH, workloads

_DAY_S = 86_400.0


@cache
def profile() -> EnergyProfile:
    return survey(workloads(), BENCH, clocks_mhz=(800, 1400, 1980))


def _rates(peak_per_s: float, days: int = 2) -> RateSeries:
    t_s = np.arange(0, days * _DAY_S, 600.0)
    day = 0.6 - 0.4 * np.cos(2 * np.pi * t_s / _DAY_S)
    return RateSeries(t_s, peak_per_s * day, 600.0, "a sine of two days")


def _demand(servers: float) -> Demand:
    equivalence = Equivalence(profile(), TABLE_IV)
    mix = np.array(PAPER_MIX)
    worth = float((mix / equivalence.server_load).sum())
    return demand_of(_rates(servers / worth), mix, equivalence, None)


@cache
def _run(name: str) -> FluidResult:
    return run_fluid(COMPOSITIONS[name], Site(TABLE_IV, profile()), _demand(5.0))


@pytest.mark.parametrize("name", [name for name in COMPOSITIONS if name != "SinglePool"])
def test_each_controller_saves_energy_and_all_of_them_most(name):
    if name == "MultiPool":
        assert _run(name).unmet_share == 0.0
        assert set(_run(name).servers) == {_run(name).servers[0]}
        return
    assert _run(name).energy_j < _run("MultiPool").energy_j
    assert _run(name).unmet_share < 0.01
    assert _run("DynamoLLM").energy_j <= _run(name).energy_j


def test_servers_follow_the_load():
    result = _run("DynamoLLM")
    assert np.corrcoef(result.servers, result.demand)[0, 1] > 0.9
    assert result.resharded > 0
    assert (result.gpus <= 8 * result.servers).all()


def test_energy_is_power_over_time():
    result = _run("ScaleFreq")
    assert result.energy_j == pytest.approx(result.power_w.mean() * 2 * _DAY_S)
    assert result.clock_mhz.min() < 1980


def test_a_cluster_too_small_reports_what_it_cannot_serve():
    site = Site(TABLE_IV, profile(), servers_max=2)
    result = run_fluid(COMPOSITIONS["DynamoLLM"], site, _demand(5.0))
    assert result.servers.max() <= 2
    assert 0.05 < result.unmet_share < 1.0


def test_load_is_split_by_class_and_wrong_predictions_keep_their_work():
    equivalence = Equivalence(profile(), TABLE_IV)
    weights = 1 / np.array(equivalence.server_load)
    mix = np.array(PAPER_MIX)
    right = demand_of(_rates(10.0), mix, equivalence, None)
    assert right.per_s.sum(axis=1).max() == pytest.approx(10.0, rel=1e-3)
    predictor = ClassPredictor(TABLE_IV, (50, 200, 500), accuracy=0.6)
    wrong = demand_of(_rates(10.0), mix, equivalence, predictor)
    assert (wrong.per_s @ weights).sum() == pytest.approx((right.per_s @ weights).sum())
    assert np.abs(wrong.per_s - right.per_s).max() > 0.1
    assert len(right.per_s) == 2 * 288


def test_spilled_load_goes_to_larger_classes_and_none_is_lost():
    equivalence = Equivalence(profile(), TABLE_IV)
    weights = 1 / np.array(equivalence.server_load)
    load = [2.0] * 9
    spilled = equivalence.spill(load, [0.5] * 8 + [1e9])
    assert max(spilled.carried[:8]) <= 0.5
    assert spilled.unmet == 0.0
    assert np.dot(spilled.carried, weights) == pytest.approx(np.dot(load, weights))
    full = equivalence.spill(load, [0.0] * 9)
    assert full.unmet == pytest.approx(np.dot(load, weights))


def test_a_fleet_moves_servers_between_pools_as_they_are():
    fleet = Fleet([[(8,), (4, 4)], [(2, 2)], []])
    fleet.resize((1, 1, 2))
    assert fleet.layouts == [[(8,)], [(2, 2)], [(4, 4), (8,)]]
    fleet.reshard(2, (Change(0, (8,), 0),))
    assert (fleet.servers, fleet.resharded, fleet.tps(2)) == (4, 1, (8, 8))


def test_gpus_without_a_replica_draw_idle_power():
    alone = draw_of(profile(), 0, [(2,)], 0.0, clocked=False)
    whole = draw_of(profile(), 0, [(2, 2)], 0.0, clocked=False)
    assert alone.power_w == pytest.approx(whole.power_w)
    assert (alone.gpus, whole.gpus) == (2, 4)


def test_no_request_draws_more_than_one_that_is_longer_in_both():
    equivalence = Equivalence(profile(), TABLE_IV)
    for own in range(len(TABLE_IV)):
        assert equivalence.work(own, own) == 1.0
        for other in TABLE_IV.spill[own][1:]:
            assert equivalence.work(own, other) <= 1.0 <= equivalence.work(other, own)
            assert equivalence.work(own, other) <= equivalence.weight(own, other)


def test_work_goes_with_the_load_that_spills():
    equivalence = Equivalence(profile(), TABLE_IV)
    load, room = [4.0] + [0.0] * 8, [1.0] + [100.0] * 8
    spilled = equivalence.spill(load, room, [2.0] + [0.0] * 8)
    assert list(spilled.carried[:2]) == pytest.approx([1.0, 3.0 * equivalence.weight(0, 1)])
    assert list(spilled.work[:2]) == pytest.approx([0.5, 1.5 * equivalence.work(0, 1)])
    assert equivalence.spill(load, room).work[0] == 1.0


def test_energy_is_drawn_for_the_work_and_clocks_are_set_for_the_load():
    most = profile().load_max(0, 8)
    full = draw_of(profile(), 0, [(8,)], most, True)
    light = draw_of(profile(), 0, [(8,)], most, True, most / 2)
    assert light.clock_mhz == full.clock_mhz == 1980
    assert light.power_w == pytest.approx(profile().power(0, 8, 1980, most / 2))
    assert light.power_w < full.power_w
