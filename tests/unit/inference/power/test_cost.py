"""Goal: bills add up, and Splitwise's designs weigh what its plots say."""

import pytest

from inference.errors import ProfileError
from inference.models.catalog import GPUS
from inference.models.cost import NS_PER_H, SPLITWISE_USD_PER_MACHINE_H, bill, design_figures


def test_a_machine_for_an_hour_costs_its_rent():
    for name, price in SPLITWISE_USD_PER_MACHINE_H.items():
        one = bill(GPUS[name], 8 * NS_PER_H, 3.6e6 * 10, usd_per_kwh=0.2)
        assert one.rent_usd == pytest.approx(price)
        assert one.energy_usd == pytest.approx(2.0)
        assert one.total_usd == pytest.approx(price + 2.0)


@pytest.mark.parametrize(
    "machines",
    [
        {"a100-80gb": 70},
        {"h100-80gb": 25, "a100-80gb": 26},
        {"h100-80gb": 25, "h100-80gb-pcap": 21},
    ],
)
def test_iso_power_designs_have_the_power_of_forty_h100(machines):
    """Splitwise, iso-power clusters of the conversation trace."""
    budget = design_figures({"h100-80gb": 40}).power
    assert 0.98 * budget < design_figures(machines).power <= budget


@pytest.mark.parametrize("machines", [{"a100-80gb": 86}, {"h100-80gb": 30, "a100-80gb": 21}])
def test_iso_cost_designs_cost_what_forty_h100_do(machines):
    budget = design_figures({"h100-80gb": 40}).cost
    assert 0.97 * budget < design_figures(machines).cost <= budget


def test_a_gpu_that_splitwise_does_not_count_is_named():
    with pytest.raises(ProfileError, match="found 'v100-32gb'"):
        design_figures({"v100-32gb": 1})
