"""Money: rent of GPUs by the hour, price of energy, and the constants that Splitwise's figures compare designs with.

All figures are QUOTED but `ENERGY_USD_PER_KWH`, which is an assumption that callers override.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from inference.domain.replica import Gpu
from inference.errors import ProfileError
from inference.models.energy import kilowatt_hours

ENERGY_USD_PER_KWH = 0.10
"""MODELLED: of the order of industrial prices in the United States."""

NS_PER_H = 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class MachineFigures:
    """What Splitwise's plots count for one machine of eight GPUs; only sums and ratios of designs mean something.

    Attributes:
        cost: dollars per GPU and hour.
        power: arbitrary units per machine.
    """

    cost: float
    power: float


SPLITWISE_MACHINES: Mapping[str, MachineFigures] = MappingProxyType(
    {
        "a100-80gb": MachineFigures(2.21, 24.8),
        "h100-80gb": MachineFigures(4.76, 44.0),
        # GPUs at half their power limit leave 0.70 of the machine's power; the rent stays.
        "h100-80gb-pcap": MachineFigures(4.76, 44.0 * 0.70),
    }
)
"""By GPU (constants of Splitwise's published plots)."""

SPLITWISE_USD_PER_MACHINE_H: Mapping[str, float] = MappingProxyType(
    {"a100-80gb": 17.6, "h100-80gb": 38.0}
)
"""Rent of a machine in Splitwise's table 1."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What a run cost, in dollars.

    Attributes:
        rent_usd: of the GPUs, for as long as they were held.
        energy_usd: of the energy that was given, whatever its scope.
    """

    rent_usd: float
    energy_usd: float

    @property
    def total_usd(self) -> float:
        """Both together; for GPUs that are rented with their energy, take the rent alone."""
        return self.rent_usd + self.energy_usd


def bill(gpu: Gpu, gpu_ns: int, joules: float, usd_per_kwh: float = ENERGY_USD_PER_KWH) -> Bill:
    """Bill for GPUs of one kind.

    Args:
        gpu: with its price.
        gpu_ns: time held, summed over GPUs.
        joules: energy to pay for.
        usd_per_kwh: its price.
    """
    return Bill(gpu.price_usd_per_h * gpu_ns / NS_PER_H, kilowatt_hours(joules) * usd_per_kwh)


def design_figures(machines: Mapping[str, int]) -> MachineFigures:
    """Cost and power of a Splitwise design, from machines by GPU name; to be compared with another's.

    Raises:
        ProfileError: a GPU that Splitwise's plots do not count.
    """
    cost = power = 0.0
    for name, count in machines.items():
        figures = SPLITWISE_MACHINES.get(name)
        if figures is None:
            expected = f"expected one of {sorted(SPLITWISE_MACHINES)}, found {name!r}"
            raise ProfileError("Splitwise's cost figures", "gpu", expected)
        cost += count * figures.cost
        power += count * figures.power
    return MachineFigures(cost, power)
