"""How a GPU's power follows its SM clock. MODELLED: no public sweep of LLM inference over clocks exists.

Above idle, part of the power follows the clock and the supply voltage (f * V^2), part (memory, links, leakage) does not.
Down to the voltage floor the voltage falls with the clock, so that power falls by its third power; below it the voltage
stays, and power falls only in proportion. That floor is what gives energy per token a minimum inside the clock range.

Clock locking is proactive: no iteration draws more than its clock allows. A power cap is reactive: the firmware answers
after some time, and a prefill shorter than that passes at full power (POLCA, section 4).
"""

import math
from dataclasses import dataclass

BRAKE_CLOCK_MHZ = 288
"""All GPUs under a power brake (POLCA, section 2)."""

DYNAMIC_EXPONENT_H100 = 3.0
"""Voltage in proportion to the clock above the floor, hence f * V^2 = f^3."""

DYNAMIC_EXPONENT_A100 = 1.5
"""POLCA: BLOOM's peak falls by 20 % at the lowest of its locks, 1,110 of 1,410 MHz. Less than the third power, for at its
highest clock a prefill already runs into TDP and is slowed there; the measured peaks are of such prefills."""

VOLTAGE_FLOOR = 0.78
"""Share of the highest clock below which the voltage stays: 1,100 MHz of an A100, 1,544 of an H100. From about
0.76 on DynamoLLM's long requests at TP 8 take less energy at 1.6 than at 1.2 GHz, as published (`experiments.power_calibration`)."""

UNCLOCKED_PREFILL_H100 = 0.10
UNCLOCKED_PREFILL_A100 = 0.22
"""Share of a prefill's power above idle that does not follow the clock. H100: small, for half its power must leave it most
of its prefill speed (Splitwise's HHcap). A100: with its exponent, for POLCA's 20 %."""

UNCLOCKED_DECODE = 0.35
"""The same of decodes, which keep the memory busy: about 130 W of an H100's 370 W above idle."""


@dataclass(frozen=True, slots=True)
class ClockPowerLaw:
    """Power above idle against the clock.

    Attributes:
        exponent: of the clocked part above the floor, more than 1.
        voltage_floor: clock as a share of the highest, below which the clocked part falls in proportion.
        unclocked_prefill, unclocked_decode: shares of power above idle that do not follow the clock.
    """

    exponent: float
    voltage_floor: float
    unclocked_prefill: float
    unclocked_decode: float

    def __post_init__(self) -> None:
        unclocked = (self.unclocked_prefill, self.unclocked_decode)
        if self.exponent < 1 or not 0 < self.voltage_floor <= 1:
            raise ValueError(f"exponent must be at least 1, voltage_floor in (0, 1]: {self}")
        if min(unclocked) < 0 or max(unclocked) >= 1:
            raise ValueError(f"unclocked shares must be in [0, 1): {self}")

    def dynamic_share(self, clock_ratio: float, unclocked: float) -> float:
        """Power above idle at a clock, as a share of that at the highest clock (`clock_ratio` = clock / highest clock)."""
        if clock_ratio >= self.voltage_floor:
            clocked = math.pow(clock_ratio, self.exponent)
        else:
            clocked = clock_ratio * math.pow(self.voltage_floor, self.exponent - 1)
        return unclocked + (1 - unclocked) * clocked

    def clock_ratio(self, share: float, unclocked: float) -> float:
        """Highest clock ratio at which `dynamic_share` is no more than `share`; 0 where no clock is low enough."""
        clocked = (share - unclocked) / (1 - unclocked)
        if clocked <= 0:
            return 0.0
        if clocked >= math.pow(self.voltage_floor, self.exponent):
            return min(1.0, math.pow(clocked, 1 / self.exponent))
        return clocked / math.pow(self.voltage_floor, self.exponent - 1)


H100_LAW = ClockPowerLaw(
    DYNAMIC_EXPONENT_H100, VOLTAGE_FLOOR, UNCLOCKED_PREFILL_H100, UNCLOCKED_DECODE
)
A100_LAW = ClockPowerLaw(
    DYNAMIC_EXPONENT_A100, VOLTAGE_FLOOR, UNCLOCKED_PREFILL_A100, UNCLOCKED_DECODE
)
