"""Energy from samples of power, for devices that have no counter: trapezoids in exact integers."""


class PowerIntegral:
    """Adds up power over time.

    Between two samples the power is taken as a straight line, so the figure is as good as the samples are dense: peaks
    between them are not seen. Milliwatts times nanoseconds are picojoules, which integers hold without rounding; the
    counter only ever loses less than one microjoule, and not again with each sample.
    """

    __slots__ = ("_power_mw", "_time_ns", "_twice_pj")

    def __init__(self) -> None:
        self._twice_pj = 0
        self._time_ns = -1
        self._power_mw = 0

    @property
    def energy_uj(self) -> int:
        """So far; 0 before the second sample."""
        return self._twice_pj // 2_000_000

    def add(self, power_mw: int, now_ns: int) -> int:
        """Take a sample and return the energy so far.

        Raises:
            ValueError: the sample is older than the last, or its power is negative.
        """
        if power_mw < 0 or now_ns < max(self._time_ns, 0):
            raise ValueError(
                f"{power_mw} mW at {now_ns} ns: power is not negative, and time does not go back from {self._time_ns}"
            )
        if self._time_ns >= 0:
            self._twice_pj += (self._power_mw + power_mw) * (now_ns - self._time_ns)
        self._power_mw, self._time_ns = power_mw, now_ns
        return self.energy_uj
