"""How a GPU's power follows its SM clock. MODELLED: no public sweep of LLM inference over clocks exists.

Above idle, part of the power follows the clock and the supply voltage (f * V^2), part (memory, links, leakage) does not.
Down to `VOLTAGE_FLOOR` the voltage falls with the clock, so that power falls by its third power; below it the voltage
stays, and power falls only in proportion. That floor is what gives energy per token a minimum inside the clock range.

Clock locking is proactive: no iteration draws more than its clock allows. A power cap is reactive: the firmware answers
after some time, and a prefill shorter than that passes at full power (POLCA, section 4).
"""

import math

BRAKE_CLOCK_MHZ = 288
"""All GPUs under a power brake (POLCA, section 2)."""

DYNAMIC_EXPONENT = 3.0
"""Voltage in proportion to the clock above the floor, hence f * V^2 = f^3."""

VOLTAGE_FLOOR = 0.75
"""Share of the highest clock below which the voltage stays: 1,058 MHz of an A100, 1,485 of an H100."""

UNCLOCKED_PREFILL = 0.20
"""Share of a prefill's power above idle that does not follow the clock: POLCA's BLOOM gives up 20 % of its peak at 5 % of
its speed, which this law does at 1,255 MHz."""

UNCLOCKED_DECODE = 0.35
"""The same of decodes, which keep the memory busy: four to five stacks at 20 to 30 W each out of about 370 W."""

CAP_REACTION_NS = 1_000_000_000
"""How long power may stay over a cap before the firmware has lowered the clock: prefill spikes below 1 s pass (POLCA)."""


def dynamic_share(clock_ratio: float, unclocked: float) -> float:
    """Power above idle at a clock, as a share of that at the highest clock (`clock_ratio` = clock / highest clock)."""
    if clock_ratio >= VOLTAGE_FLOOR:
        clocked = math.pow(clock_ratio, DYNAMIC_EXPONENT)
    else:
        clocked = clock_ratio * math.pow(VOLTAGE_FLOOR, DYNAMIC_EXPONENT - 1)
    return unclocked + (1 - unclocked) * clocked


def clock_ratio(share: float, unclocked: float) -> float:
    """Highest clock ratio at which `dynamic_share` is no more than `share`; 0 where no clock is low enough."""
    clocked = (share - unclocked) / (1 - unclocked)
    if clocked <= 0:
        return 0.0
    at_floor = math.pow(VOLTAGE_FLOOR, DYNAMIC_EXPONENT)
    if clocked >= at_floor:
        return min(1.0, math.pow(clocked, 1 / DYNAMIC_EXPONENT))
    return clocked / math.pow(VOLTAGE_FLOOR, DYNAMIC_EXPONENT - 1)


def mean_power_under_cap_w(demand_w: float, cap_w: float, duration_ns: int) -> float:
    """Mean power of an iteration under a reactive cap: full demand until the firmware answers, the cap from then on."""
    if demand_w <= cap_w or duration_ns <= CAP_REACTION_NS:
        return demand_w
    free = CAP_REACTION_NS / duration_ns
    return demand_w * free + cap_w * (1 - free)
