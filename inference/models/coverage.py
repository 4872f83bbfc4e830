"""How often a profile was asked outside its range. Not every profile is measured, so no word here says that one is."""

from dataclasses import dataclass


@dataclass(slots=True)
class Coverage:
    """Counts calls of a latency model outside its profile; one per run and kind of replica, shared over clocks.

    Attributes:
        what: the profile's name, for the report.
        prefill_range, decode_range: what the profile covers, in words.
        below_prefill, above_prefill: calls for a prefill (or mixed iteration) below and above the range.
        below_decode, above_decode: the same for decode runs.
    """

    what: str
    prefill_range: str
    decode_range: str
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
            ("prefill", "below", self.prefill_range, self.below_prefill),
            ("prefill", "above", self.prefill_range, self.above_prefill),
            ("decode", "below", self.decode_range, self.below_decode),
            ("decode", "above", self.decode_range, self.above_decode),
        )
        return tuple(
            f"{self.what}: {count} {phase} calls {side} the profiled {covered} were extrapolated"
            for phase, side, covered, count in counts
            if count
        )
