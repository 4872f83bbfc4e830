"""Instance manager, every 5 seconds: the SM clock of each replica (DynamoLLM, section IV-D)."""

import math
from dataclasses import dataclass

from inference.policies.dynamo.profile import EnergyProfile

PERIOD_NS = 5 * 10**9

# A clock change through the driver takes 50 to 80 ms; between them the old clock stands.
CLOCK_DELAY_NS = 65_000_000


@dataclass(frozen=True, slots=True)
class ClockGovernor:
    """Chooses clocks from the profile.

    Attributes:
        profile: whose cells say what each clock sustains and draws.
        sigmas: a load that was counted over a short time is uncertain; it is raised by so many standard deviations.
    """

    profile: EnergyProfile
    sigmas: float = 1.0

    def clock(self, class_id: int, tp: int, load_per_s: float, current_mhz: int) -> int | None:
        """The clock to change to; None where the present one stays, because each command costs throughput.

        A load beyond the profile, or one that no clock keeps the objectives at, asks for the highest.
        """
        best = self.profile.best_clock(class_id, tp, load_per_s)
        if best is None:
            best = self.profile.clock_max_mhz
        return None if best == current_mhz else best

    def cautious(self, load_per_s: float, window_s: float) -> float:
        """Upper end of a load that was counted over a time: a Poisson count of n has a deviation of sqrt(n)."""
        if window_s <= 0:
            return load_per_s
        return load_per_s + self.sigmas * math.sqrt(max(load_per_s, 0.0) / window_s)
