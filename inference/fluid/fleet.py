"""Servers and replicas of all pools between two decisions, and what they draw."""

from collections import Counter
from dataclasses import dataclass, field

from inference.policies.dynamo.cluster import SERVER_GPUS
from inference.policies.dynamo.pool import Change, Layout
from inference.policies.dynamo.profile import EnergyProfile

_WHOLE: Layout = (SERVER_GPUS,)


@dataclass(slots=True)
class Fleet:
    """Which pool holds which servers, and how they are divided.

    Attributes:
        layouts: for each pool, the TPs on each of its servers.
        resharded: servers that were re-sharded so far.
    """

    layouts: list[list[Layout]]
    resharded: int = 0
    _spare: list[Layout] = field(default_factory=list)

    @property
    def servers(self) -> int:
        """Servers in use."""
        return sum(len(pool) for pool in self.layouts)

    def tps(self, pool: int) -> tuple[int, ...]:
        """TPs of all replicas of a pool."""
        return tuple(tp for layout in self.layouts[pool] for tp in layout)

    def resize(self, servers: tuple[int, ...]) -> None:
        """Give and take servers. Those of one pool go to another as they are: all serve the same model."""
        self._spare.clear()
        for pool, wanted in zip(self.layouts, servers, strict=True):
            while len(pool) > wanted:
                self._spare.append(pool.pop())
        for pool, wanted in zip(self.layouts, servers, strict=True):
            while len(pool) < wanted:
                pool.append(self._spare.pop() if self._spare else _WHOLE)

    def reshard(self, pool: int, changes: tuple[Change, ...]) -> None:
        """Carry a plan out."""
        for change in changes:
            self.layouts[pool][change.server] = change.layout
        self.resharded += len(changes)


@dataclass(frozen=True, slots=True)
class Draw:
    """What a pool draws in one step.

    Attributes:
        power_w: of its GPUs, idle ones included.
        gpus: that hold a replica.
        clock_mhz: mean over those GPUs.
    """

    power_w: float
    gpus: int
    clock_mhz: float


def draw_of(
    profile: EnergyProfile,
    class_id: int,
    layouts: list[Layout],
    load_per_s: float,
    clocked: bool,
    work_per_s: float | None = None,
) -> Draw:
    """Power of a pool whose replicas are all used to the same share of their highest load.

    Clocks keep the objectives at `load_per_s`; energy is drawn for `work_per_s`, by default the same.
    """
    tps = Counter(tp for layout in layouts for tp in layout)
    gpus = sum(tp * number for tp, number in tps.items())
    capacity = sum(profile.load_max(class_id, tp) * number for tp, number in tps.items())
    share = load_per_s / capacity if capacity > 0 else 0.0
    work = share if work_per_s is None or capacity <= 0 else work_per_s / capacity
    power_w = (len(layouts) * SERVER_GPUS - gpus) * profile.idle_gpu_w
    clock_sum = 0
    for tp, number in sorted(tps.items()):
        most = profile.load_max(class_id, tp)
        clock = profile.clock_max_mhz
        if clocked:
            clock = profile.best_clock(class_id, tp, share * most) or clock
        power_w += number * profile.power(class_id, tp, clock, work * most)
        clock_sum += number * tp * clock
    return Draw(power_w, gpus, clock_sum / gpus if gpus else 0.0)
