"""When the placement policy moves somebody, in each mode. Pure values."""

from dataclasses import dataclass

from junctiond.cores.layout import Mode

_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When to move. Shares are of one core.

    Attributes:
        high: a worker's core that is busier than this is relieved.
        low: what a core may carry after a return.
        hold_ns: how long a core must be busy before anybody moves.
        calm_ns: how long a return must look possible; doubled by each eviction, up to `calm_ns_max`.
        forgive_ns: after so long without eviction the doubling begins anew.
        share_min: who uses less relieves nobody by going, and goes home whatever its core carries.
        share_alone: what it must use to go where it is the only one beside the worker: crossing cores costs wake-ups.
        room_min: what must be left of the core it goes to.
        hog_share, hog_cost_ns: a hog uses at least this share of a core, and this much CPU time for each invocation.
        hog_share_min: enough where it is half of what the platform has of the core: other programs have the rest.
        settle_ns: how long a new sandbox is left where it began: runtimes compute while they start.
        foreign_ns: how long a core that only other programs keep busy is left unwatched.
        compute_share: what a sandbox that sees all cores uses before it is kept off the workers' cores.
    """

    high: float = 0.75
    low: float = 0.5
    hold_ns: int = 300_000_000
    calm_ns: int = 2 * _S
    calm_ns_max: int = 60 * _S
    forgive_ns: int = 300 * _S
    share_min: float = 0.05
    share_alone: float = 0.3
    room_min: float = 0.2
    hog_share: float = 0.25
    hog_share_min: float = 0.1
    compute_share: float = 0.5
    hog_cost_ns: int = 1_000_000
    settle_ns: int = 3 * _S
    foreign_ns: int = 5 * _S


THRESHOLDS = {
    Mode.LATENCY: Thresholds(high=0.6, low=0.4),
    Mode.BALANCED: Thresholds(),
    Mode.ECO: Thresholds(high=0.9, low=0.7),
    Mode.OFF: Thresholds(),
}
