"""Instance manager, every 5 seconds: the SM clock of each replica (DynamoLLM, section IV-D)."""

from dataclasses import dataclass

from inference.policies.dynamo.profile import EnergyProfile

PERIOD_NS = 5 * 10**9

# A clock change through the driver takes 50 to 80 ms; between them the old clock stands.
CLOCK_DELAY_NS = 65_000_000


@dataclass(frozen=True, slots=True)
class ClockGovernor:
    """Chooses clocks from the profile, for the present load as it is.

    The profile's percentiles already hold for arrivals that fluctuate as Poisson's do and for batches at their 99th
    percentile: a load that is raised for its fluctuation too would be raised twice.

    Attributes:
        profile: whose cells say what each clock sustains and draws.
    """

    profile: EnergyProfile

    def clock(self, class_id: int, tp: int, load_per_s: float, current_mhz: int) -> int | None:
        """The clock to change to; None where the present one stays, because each command costs throughput.

        A load beyond the profile, or one that no clock keeps the objectives at, asks for the highest.
        """
        best = self.profile.best_clock(class_id, tp, load_per_s)
        if best is None:
            best = self.profile.clock_max_mhz
        return None if best == current_mhz else best
