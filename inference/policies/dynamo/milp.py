"""How many replicas of which TP serve a pool's load for the least energy (DynamoLLM, section IV-C), by HiGHS.

    minimise    sum of N_i * E_i(f_i, L_i)          over TP i
    subject to  sum of i * N_i <= GPUs,  sum of N_i * L_i >= load,  T_i(L_i, f_i) <= SLO

The load of one replica, L_i, is itself chosen, which makes the product N_i * E_i bilinear. It is made linear by offering
each TP at a few levels of load: N is then counted by TP and level. Only levels whose profile keeps the objectives are
offered, which is the third constraint.

GPUs without a replica idle, so a replica's cost is its power above that of its GPUs at idle.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

# Nodes of the branch and bound: a bound that is the same on every machine. The time limit only backs it up.
NODES_MAX = 2_000
TIME_LIMIT_S = 5.0
_GAP = 5e-3

_TIME_OUT = 1


class Option(NamedTuple):
    """A replica of one TP at one load.

    Attributes:
        tp: GPUs that it takes.
        load_per_s: that it carries.
        power_w: of its GPUs at that load.
    """

    tp: int
    load_per_s: float
    power_w: float


class Outcome(StrEnum):
    """How a sharding was found.

    OPTIMAL: proven, within the gap.
    BOUNDED: the best found when nodes or time ran out.
    SATURATED: the load is beyond what the GPUs carry; they are filled with what carries most.
    """

    OPTIMAL = "optimal"
    BOUNDED = "bounded"
    SATURATED = "saturated"


class Sharding(NamedTuple):
    """Replicas of a pool.

    Attributes:
        counts: (option, number) of those that are used; largest TP first.
        power_w: of the pool, idle GPUs included.
        outcome: how it was found.
    """

    counts: tuple[tuple[Option, int], ...]
    power_w: float
    outcome: Outcome

    def replicas(self) -> dict[int, int]:
        """Number of replicas by TP."""
        total: dict[int, int] = {}
        for option, number in self.counts:
            total[option.tp] = total.get(option.tp, 0) + number
        return total


def solve(
    options: Sequence[Option],
    gpus: int,
    load_per_s: float,
    idle_gpu_w: float,
    time_limit_s: float = TIME_LIMIT_S,
) -> Sharding:
    """Least power that carries the load. A pool with GPUs always has a replica, for its first request may come.

    Where the solver runs out of nodes or time without any solution, or the load is too high, the answer is `SATURATED`:
    the TP that carries most per GPU, as often as it fits.

    Raises:
        ValueError: there is no option, or no option fits the GPUs.
    """
    fitting = [option for option in options if option.tp <= gpus]
    if not fitting:
        raise ValueError(f"no replica fits {gpus} GPUs")
    cost = np.array([option.power_w - option.tp * idle_gpu_w for option in fitting])
    tps = np.array([option.tp for option in fitting])
    loads = np.array([option.load_per_s for option in fitting])
    # Both scaled to about 1: the solver's tolerances are absolute.
    unit_w, unit_per_s = float(np.abs(cost).max()) or 1.0, float(loads.max()) or 1.0
    rows = [
        LinearConstraint(tps, -np.inf, gpus),
        LinearConstraint(loads / unit_per_s, load_per_s / unit_per_s, np.inf),
        LinearConstraint(np.ones(len(fitting)), 1, np.inf),
    ]
    found = milp(
        cost / unit_w,
        integrality=np.ones(len(fitting), dtype=np.int64),
        bounds=Bounds(0, gpus // tps),
        constraints=rows,
        options={"time_limit": time_limit_s, "node_limit": NODES_MAX, "mip_rel_gap": _GAP},
    )
    if found.x is None:
        return _saturated(fitting, gpus, idle_gpu_w)
    outcome = Outcome.BOUNDED if found.status == _TIME_OUT else Outcome.OPTIMAL
    return _sharding(fitting, np.rint(found.x).astype(int).tolist(), gpus, idle_gpu_w, outcome)


def _saturated(options: Sequence[Option], gpus: int, idle_gpu_w: float) -> Sharding:
    order = sorted(
        range(len(options)), key=lambda k: (-options[k].load_per_s / options[k].tp, -options[k].tp)
    )
    numbers, left = [0] * len(options), gpus
    for index in order:
        numbers[index] = left // options[index].tp
        left -= numbers[index] * options[index].tp
    return _sharding(options, numbers, gpus, idle_gpu_w, Outcome.SATURATED)


def _sharding(
    options: Sequence[Option],
    numbers: Sequence[int],
    gpus: int,
    idle_gpu_w: float,
    outcome: Outcome,
) -> Sharding:
    used = [(option, number) for option, number in zip(options, numbers, strict=True) if number]
    used.sort(key=lambda entry: (-entry[0].tp, -entry[0].load_per_s))
    power_w = gpus * idle_gpu_w
    power_w += sum(n * (option.power_w - option.tp * idle_gpu_w) for option, n in used)
    return Sharding(tuple(used), power_w, outcome)
