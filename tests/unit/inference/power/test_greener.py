"""Goal: the figures of GR1 and GR2 come from the surface, and a profile that behaves otherwise turns them red."""

import dataclasses

import pytest

from inference.errors import ScenarioError
from inference.experiments import greener
from inference.experiments.greener import greener_targets, law_range
from inference.experiments.power_calibration import calibration_targets
from inference.models.catalog import GPUS, MODELS
from inference.models.explorer import candidate, explore
from inference.models.power_clock import ClockPowerLaw
from inference.models.provenance import Origin


def by_id(targets):
    return {target.id: target for target in targets}


def test_every_target_is_judged_and_modelled():
    targets = (*greener_targets(), *calibration_targets())
    # Half the power costs a prefill more with us than Splitwise assumes: 1.50 against 1.30 times as long.
    assert [target.id for target in targets if not target.met] == ["EN5"]
    assert {target.provenance for target in targets} == {Origin.MODELLED}
    assert len(by_id(targets)) == len(targets) == 13


def test_they_are_the_same_each_time():
    first, again = greener_targets(), greener_targets()
    assert [one.ours for one in first] == [one.ours for one in again]


def with_law(monkeypatch, law):
    monkeypatch.setattr(
        greener, "candidate", lambda model, gpu, tp: greener._under(candidate(model, gpu, tp), law)
    )
    return by_id(greener_targets())


def test_power_that_hardly_follows_the_clock_misses_the_saving(monkeypatch):
    targets = with_law(monkeypatch, ClockPowerLaw(3.0, 0.78, 0.1, 0.9))
    assert not targets["GR1-saving"].met
    assert targets["GR1-loss"].met


def test_power_without_a_floor_or_idle_part_has_its_least_energy_at_the_lowest_clock(monkeypatch):
    monkeypatch.setattr(greener, "CLOCKS_MHZ", (1400, 1600, 1800, 1980))
    targets = with_law(monkeypatch, ClockPowerLaw(3.0, 0.1, 0.1, 0.0))
    assert targets["GR1-clock-min"].ours == 1400
    assert not targets["GR1-clock-min"].met


def test_energy_that_rises_with_the_batch_is_counted(monkeypatch):
    surface = explore(
        [candidate(MODELS["llama2-70b"], GPUS["h100-80gb"], 8)], (1980,), (1, 2, 4), greener.LENGTHS
    )
    assert greener._rises_with_batch(surface) == 0
    reversed_energy = dataclasses.replace(
        surface, energy_j_per_token=surface.energy_j_per_token[::-1]
    )
    assert greener._rises_with_batch(reversed_energy) == 2


def test_how_much_rests_on_the_law_is_told():
    low, high = law_range([candidate(MODELS["llama2-70b"], GPUS["h100-80gb"], 8)])
    assert 0.10 < low < 0.20 < high
    assert f"{100 * low:.1f}" in by_id(greener_targets())["GR1-saving"].note


def test_an_unknown_model_is_named():
    with pytest.raises(ScenarioError, match="found 'gpt-9'"):
        greener_targets("gpt-9")
