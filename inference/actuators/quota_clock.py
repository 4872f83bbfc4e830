"""How a CPU quota stands for a clock.

On a machine whose clock cannot be set, a replica that computes on CPUs is slowed down by a quota of CPU time. The mapping:

    clock_mhz / reference_mhz = quota_us / (cpus * period_us)

A replica with the whole quota runs as at the reference clock; with half of it, it gets half the CPU time and so does
half the work per second, as a compute-bound replica does at half the clock. Three things differ from a clock, and no
figure got this way is to be taken for one of a clock: memory-bound work slows down as much as computing does; within a
period the replica runs at full speed and then stands still, so a token may be late by up to a period; and the voltage
does not fall, so energy per token does not fall either.
"""

from dataclasses import dataclass

QUOTA_US_MIN = 1000
"""Least quota that the kernel takes."""


@dataclass(frozen=True, slots=True)
class QuotaClock:
    """The mapping of one replica, in exact integers.

    Attributes:
        reference_mhz: the clock that the whole quota stands for.
        cpus: CPUs that the replica has at it.
        period_us: over which the kernel counts the quota.
    """

    reference_mhz: int
    cpus: int
    period_us: int = 100_000

    def __post_init__(self) -> None:
        if self.reference_mhz < 1 or self.cpus < 1 or self.period_us < QUOTA_US_MIN:
            raise ValueError(
                f"{self}: expected positive clock and CPUs, and a period of {QUOTA_US_MIN} µs or more"
            )
        if self.full_us < self.reference_mhz:
            raise ValueError(
                f"{self}: a quota of {self.full_us} µs has too few steps for that clock"
            )

    @property
    def full_us(self) -> int:
        """The quota that stands for the reference clock."""
        return self.cpus * self.period_us

    @property
    def clock_mhz_min(self) -> int:
        """The lowest clock whose quota the kernel takes."""
        return -(-QUOTA_US_MIN * self.reference_mhz // self.full_us)

    def quota_us(self, clock_mhz: int) -> int:
        """The quota of a clock: the largest that does not exceed it."""
        return clock_mhz * self.full_us // self.reference_mhz

    def clock_mhz(self, quota_us: int) -> int:
        """The clock of a quota: `clock_mhz(quota_us(x)) == x`. No quota (0 or less) is the reference clock."""
        if quota_us <= 0:
            return self.reference_mhz
        return min(-(-quota_us * self.reference_mhz // self.full_us), self.reference_mhz)
