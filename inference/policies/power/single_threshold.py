"""One threshold instead of two: 1-Thresh-Low-Pri caps low priority, 1-Thresh-All caps all (baselines of POLCA, section 6)."""

from collections.abc import Sequence

from inference.domain.request import Priority
from inference.policies.power.control_table import ControlTable, Delays, Edge, Level
from inference.policies.power.controller import RowController


def single_threshold_table(
    *, all_priorities: bool, threshold: float = 0.89, lift: float = 0.05, cap_mhz: int = 1110
) -> ControlTable:
    """Two levels: uncapped, and capped above the threshold until `lift` below it."""
    if not 0 < lift < threshold < 1:
        raise ValueError(f"expected 0 < lift < threshold < 1, found {lift} and {threshold}")
    return ControlTable(
        name="1-thresh-all" if all_priorities else "1-thresh-low-pri",
        levels=(
            Level("uncapped"),
            Level("capped", cap_mhz, cap_mhz if all_priorities else 0),
        ),
        edges=(Edge(threshold - lift, above=False), Edge(threshold, above=True)),
        transitions=((0, 0, 1), (0, 1, 1)),
    )


def single_threshold(
    provisioned_w: float,
    priorities: Sequence[Priority],
    *,
    all_priorities: bool,
    threshold: float = 0.89,
    lift: float = 0.05,
    cap_mhz: int = 1110,
    delays: Delays | None = None,
) -> RowController:
    """A baseline with one threshold.

    Args:
        provisioned_w: power that the row may draw.
        priorities: of each replica, by its index.
        all_priorities: cap high priority as well (1-Thresh-All), or low priority alone (1-Thresh-Low-Pri).
        threshold: share of provisioned power; the paper's T2 by default.
        lift: how far below it the cap is lifted.
        cap_mhz: SM clock of the capped; the one that POLCA gives low priority above T2.
        delays: the paper's by default.
    """
    table = single_threshold_table(
        all_priorities=all_priorities, threshold=threshold, lift=lift, cap_mhz=cap_mhz
    )
    return RowController(table, provisioned_w, priorities, delays)
