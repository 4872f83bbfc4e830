"""Waits for moments in which nobody else uses the machine.

Which moments are measured is decided before anything is measured, so no result can pick itself. The patience is for a
whole run: a machine that never is quiet gets measured all the same, and its records show it (`idle_share`, `load_1m`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.machine import CpuTimes

SAMPLE_S = 0.25
IDLE_SHARE_MIN = 0.85
STEAL_SHARE_MAX = 0.05


@dataclass(slots=True)
class Quiet:
    """Waits before each step, as long as the patience of the run lasts.

    Attributes:
        patience_s: how much longer this run may wait in all.
        busy: how often a step began on a busy machine.
    """

    patience_s: float
    read: Callable[[], CpuTimes] = CpuTimes.now
    sleep: Callable[[float], None] = time.sleep
    busy: int = field(default=0)

    def wait(self) -> None:
        """Returns when the machine is quiet, or when patience is at its end."""
        while True:
            before = self.read()
            self.sleep(SAMPLE_S)
            steal_share, idle_share = self.read().shares_since(before)
            if idle_share >= IDLE_SHARE_MIN and steal_share <= STEAL_SHARE_MAX:
                return
            if self.patience_s <= 0:
                self.busy += 1
                return
            self.patience_s -= SAMPLE_S
