"""How often a profile was asked outside the range that it was measured in."""

from dataclasses import dataclass


@dataclass(slots=True)
class Coverage:
    """Counts calls of a latency model outside its profile; one per run and kind of replica, shared over clocks.

    Attributes:
        what: the profile's name, for the report.
        low, high: ends of the measured range, in `unit`.
        unit: what the range is of.
        below_prefill, above_prefill: calls for a prefill (or mixed iteration) below and above the range.
        below_decode, above_decode: the same for decode runs.
    """

    what: str
    low: int
    high: int
    unit: str
    below_prefill: int = 0
    above_prefill: int = 0
    below_decode: int = 0
    above_decode: int = 0

    @property
    def extrapolated(self) -> int:
        """All calls outside the range."""
        return self.below_prefill + self.above_prefill + self.below_decode + self.above_decode

    def warnings(self) -> tuple[str, ...]:
        """One sentence for each kind of extrapolation that happened, fit for `RunResult.warnings`."""
        counts = (
            ("prefill", "below", self.low, self.below_prefill),
            ("prefill", "above", self.high, self.above_prefill),
            ("decode", "below", self.low, self.below_decode),
            ("decode", "above", self.high, self.above_decode),
        )
        return tuple(
            f"{self.what}: {count} {phase} calls {side} its range ({end} {self.unit}) were extrapolated"
            for phase, side, end, count in counts
            if count
        )
