"""POLCA: two thresholds with hysteresis, low priority first, the brake as the last resort (POLCA, section 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.domain.request import Priority
from inference.policies.power.control_table import ControlTable, Delays, Edge, Level
from inference.policies.power.controller import RowController


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Shares of provisioned power at which POLCA acts.

    Attributes:
        t1: above it, low priority goes to the base clock.
        t2: above it, low priority goes lower, then high priority is capped; chosen so that the largest rise within the
            40 s that a cap takes (11.8 % of provisioned power in the paper's row) ends below 100 %.
        lift: caps are lifted this far below their threshold.

    Raises:
        ValueError: the lift of T2 would be below T1, so that lifting and capping would fight.
    """

    t1: float = 0.80
    t2: float = 0.89
    lift: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.t1 - self.lift < self.t1 < self.t2 - self.lift < self.t2 < 1:
            raise ValueError(
                f"expected 0 < t1 - lift < t1 < t2 - lift < t2 < 1, found t1 {self.t1}, t2 {self.t2}, lift {self.lift}"
            )


@dataclass(frozen=True, slots=True)
class Caps:
    """SM clocks that POLCA caps at (A100, whose highest is 1410 MHz and whose base clock is 1275 MHz).

    Attributes:
        low_t1_mhz, low_t2_mhz: of low priority above T1 and T2.
        high_t2_mhz: of high priority if power is still above T2 then.
    """

    low_t1_mhz: int = 1275
    low_t2_mhz: int = 1110
    high_t2_mhz: int = 1305


def polca_table(thresholds: Thresholds | None = None, caps: Caps | None = None) -> ControlTable:
    """POLCA's state machine.

    The bands are those of the four edges T1 - lift, T1, T2 - lift and T2. Between T1 - lift and T1, and between
    T2 - lift and T2, a level keeps itself: that is the hysteresis.
    """
    at = thresholds or Thresholds()
    mhz = caps or Caps()
    return ControlTable(
        name="polca",
        levels=(
            Level("uncapped"),
            Level("low at base", mhz.low_t1_mhz),
            Level("low capped", mhz.low_t2_mhz),
            Level("all capped", mhz.low_t2_mhz, mhz.high_t2_mhz, after_landing=True),
        ),
        edges=(
            Edge(at.t1 - at.lift, above=False),
            Edge(at.t1, above=True),
            Edge(at.t2 - at.lift, above=False),
            Edge(at.t2, above=True),
        ),
        transitions=(
            # < T1 - lift, hold, > T1, hold, > T2
            (0, 0, 1, 1, 2),
            (0, 1, 1, 1, 2),
            (0, 1, 1, 2, 3),
            (0, 1, 1, 3, 3),
        ),
    )


def polca(
    provisioned_w: float,
    priorities: Sequence[Priority],
    *,
    thresholds: Thresholds | None = None,
    caps: Caps | None = None,
    delays: Delays | None = None,
) -> RowController:
    """POLCA for a row.

    Args:
        provisioned_w: power that the row may draw.
        priorities: of each replica, by its index.
        thresholds: the paper's by default.
        caps: the paper's by default.
        delays: the paper's by default.
    """
    return RowController(polca_table(thresholds, caps), provisioned_w, priorities, delays)
