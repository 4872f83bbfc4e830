"""A server whose figures are easy to reckon by hand, and a policy that follows a script; for tests of the row."""

from collections.abc import Mapping, Sequence

import numpy as np

from inference.domain.action import Action
from inference.domain.request import Priority
from inference.models.provenance import Origin, Provenance
from inference.row.load import LoadShape
from inference.row.profile import ClockProfile
from inference.row.scenario import RowScenario
from inference.row.workload import Workload

SECOND_NS = 1_000_000_000
CLOCK_MHZ_MAX = 1400
TOKENS = np.array([0.0, 10_000.0])


class HandServer:
    """At the highest clock: 1 ms per prompt token, 10 ms per output token; 100 W idle, 400 W prefill, 300 W decode.

    Time follows the clock inversely in prefill and not at all in decode; power above idle follows it.
    """

    clock_mhz_max = CLOCK_MHZ_MAX
    idle_w = 100.0
    provenance = Provenance(Origin.MODELLED, "a test", "nothing", "", "made up")

    def at_clock(self, clock_mhz: int) -> ClockProfile:
        ratio = clock_mhz / CLOCK_MHZ_MAX
        return ClockProfile(
            clock_mhz,
            TOKENS,
            TOKENS * 1e6 / ratio,
            np.full(2, 10e6),
            np.full(2, 100.0 + 300.0 * ratio),
            100.0 + 200.0 * ratio,
        )


class Scripted:
    """A `PowerPolicy` that gives the actions written down for each sample, and keeps the samples that it saw."""

    telemetry_ns = 2 * SECOND_NS

    def __init__(self, script: Mapping[int, Sequence[Action]] | None = None) -> None:
        """Follow a script: actions by the second at which their sample arrives."""
        self.script = script or {}
        self.seen: list[tuple[int, float]] = []

    def sample(self, row_power_w: float, now_ns: int) -> Sequence[Action]:
        self.seen.append((now_ns // SECOND_NS, row_power_w))
        return self.script.get(now_ns // SECOND_NS, ())


def hand_row(
    servers: int = 4,
    busy: float = 0.6,
    seed: int = 1,
    provisioned_w: float = 300.0,
    days: float = 0.125,
) -> RowScenario:
    """Three hours of a small row of two workloads, one of each priority; load rises all the time."""
    workloads = (
        Workload("short", 0.5, Priority.LOW, (100, 900), (100, 900)),
        Workload("long", 0.5, Priority.HIGH, (1000, 5000), (500, 3000)),
    )
    load = LoadShape(busy, busy / 2, peak_hour=4.0)
    return RowScenario("hand", servers, servers, provisioned_w, days, seed, load, workloads)
