"""Goal: no power policy decides otherwise by accident: a small row by policy and limit, on a server of round figures.

A change on purpose writes tests/golden/row.txt anew with

    python -m tests.unit.inference.row.test_golden

and its diff is explained in the commit.
"""

from pathlib import Path

import numpy as np

from inference.domain.request import Priority
from inference.results.golden import golden_difference, write_golden
from inference.row.scenario import POLICIES, power_policy
from inference.row.simulator import simulate
from tests.support.rows import HandServer, hand_row

GOLDEN = Path(__file__).parents[3] / "golden" / "row.txt"
LIMITS_W = (320.0, 300.0)
HEAD = "policy             limit_w  peak  brakes  commands  low_capped  high_capped  low_p50_s  high_p50_s"


def table() -> str:
    lines = ["# a row of 20 servers, 72 minutes of rising load, seed 1", HEAD]
    for limit_w in LIMITS_W:
        row = hand_row(servers=20, busy=0.95, provisioned_w=limit_w, days=0.05)
        for policy in POLICIES:
            run = simulate(row, HandServer(), power_policy(row, policy))
            low, high = (
                (run.capped_share(own), float(np.median(run.latency_s(own))))
                for own in (Priority.LOW, Priority.HIGH)
            )
            lines.append(
                f"{policy:<17}  {limit_w:>7g}  {run.statistics().peak:.2f}  {run.brakes:>6}  "
                f"{len(run.commands):>8}  {low[0]:>10.3f}  {high[0]:>11.3f}  {low[1]:>9.3f}  {high[1]:>10.3f}"
            )
    return "\n".join(lines) + "\n"


def test_no_power_policy_decides_otherwise() -> None:
    assert golden_difference(GOLDEN, table()) == ""


if __name__ == "__main__":
    write_golden(GOLDEN, table())
