"""No-cap: nothing but the power brake stands between the row and its limit (baseline of POLCA, section 6)."""

from collections.abc import Sequence

from inference.domain.request import Priority
from inference.policies.power.control_table import ControlTable, Delays, Level
from inference.policies.power.controller import RowController


def no_cap_table() -> ControlTable:
    """One level, no caps."""
    return ControlTable("no-cap", (Level("uncapped"),), (), ((0,),))


def no_cap(
    provisioned_w: float, priorities: Sequence[Priority], *, delays: Delays | None = None
) -> RowController:
    """The brake alone, let go where POLCA would let it go.

    Args:
        provisioned_w: power that the row may draw.
        priorities: of each replica, by its index; the brake hits all.
        delays: the paper's by default.
    """
    return RowController(no_cap_table(), provisioned_w, priorities, delays)
