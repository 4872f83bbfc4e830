"""Forecasts load by a weekly template (DynamoLLM, section IV-B: weekday and weekend, by slot of the day)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_DAY_NS = 86_400 * 10**9
SLOT_NS = 300 * 10**9


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which day of the week the run's time 0 falls on.

    Attributes:
        weekday: of time 0; Monday is 0.
        offset_ns: time of day at time 0.
    """

    weekday: int = 0
    offset_ns: int = 0

    def slot(self, at_ns: int, slot_ns: int) -> tuple[bool, int]:
        """Whether a time is on a weekend, and its slot of the day."""
        days, within_ns = divmod(at_ns + self.offset_ns, _DAY_NS)
        return (self.weekday + days) % 7 >= 5, within_ns // slot_ns


MONDAY = Calendar()


class WeeklyTemplate:
    """Load of each class by slot of a weekday or weekend day, learned from what was observed.

    A slot remembers the mean of its days and the last observation is kept besides. Where today runs above its template,
    the forecast is raised by the same factor (at most `surge_max`); it is never lowered, because objectives must hold.
    Without history the last observation stands for all that comes.
    """

    def __init__(
        self,
        classes: int,
        calendar: Calendar = MONDAY,
        slot_ns: int = SLOT_NS,
        headroom: float = 0.1,
        surge_max: float = 1.5,
    ) -> None:
        """An empty template.

        Args:
            classes: how many loads there are.
            calendar: of the run; Monday midnight unless told.
            slot_ns: length of a slot; it divides a day.
            headroom: share by which a forecast is raised.
            surge_max: bound of the factor for a day above its template.

        Raises:
            ValueError: the slot does not divide a day, or the headroom is negative.
        """
        if slot_ns <= 0 or _DAY_NS % slot_ns:
            raise ValueError(f"a slot of {slot_ns} ns does not divide a day")
        if headroom < 0 or surge_max < 1:
            raise ValueError("headroom must be at least 0 and surge_max at least 1")
        self._calendar = calendar
        self._slot_ns = slot_ns
        self._headroom = headroom
        self._surge_max = surge_max
        slots = _DAY_NS // slot_ns
        self._mean = np.zeros((2, slots, classes))
        self._days = np.zeros((2, slots), dtype=np.int64)
        self._last = np.zeros(classes)
        self._expected = np.zeros(classes)

    def observe(self, at_ns: int, load: Sequence[float] | Float64) -> None:
        """The load (any unit, one for each class) of the slot that holds `at_ns`, once it is over."""
        weekend, slot = self._calendar.slot(at_ns, self._slot_ns)
        day = int(weekend)
        values = np.asarray(load, dtype=np.float64)
        self._expected = self._template(day, slot)
        self._days[day, slot] += 1
        self._mean[day, slot] += (values - self._mean[day, slot]) / self._days[day, slot]
        self._last = values

    def peak(self, now_ns: int, horizon_ns: int) -> Float64:
        """Highest load of each class expected in `[now_ns, now_ns + horizon_ns)`, with headroom."""
        steps = max(1, -(-horizon_ns // self._slot_ns))
        best = self._last.copy()
        known = self._expected > 0
        surge = np.ones_like(best)
        surge[known] = np.clip(self._last[known] / self._expected[known], 1.0, self._surge_max)
        slots = [
            self._calendar.slot(now_ns + k * self._slot_ns, self._slot_ns) for k in range(steps)
        ]
        learned = [self._template(int(weekend), slot) for weekend, slot in slots]
        if any(row.any() for row in learned):
            best = np.asarray(np.max(learned, axis=0) * surge, dtype=np.float64)
        return np.asarray(best * (1.0 + self._headroom), dtype=np.float64)

    def _template(self, day: int, slot: int) -> Float64:
        if self._days[day, slot]:
            return np.array(self._mean[day, slot], dtype=np.float64)
        return np.zeros(self._mean.shape[2])
