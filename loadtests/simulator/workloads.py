"""What the simulator is measured with: shipped scenarios with a few keys changed."""

from collections.abc import Mapping
from dataclasses import dataclass

BASELINE = "golden-baseline-h100-conv70"
SPLIT = "golden-hh-conv70"
CONTEXT = ("latency=context", "transfer.mode=auto")
"""Iteration times that know contexts; layer-wise transfers over shared links."""
RATE_PER_MACHINE = 1.75
"""Requests per second: what 40 machines have at 70. Every size of cluster is loaded alike."""
WEEK_SHARE = 0.01
WEEK_REQUESTS = 27_300_000
"""Of the conversation service in the week of 2024 whose rates were digitised."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One scenario.

    Attributes:
        subject: under which it is recorded.
        words: what is simulated.
        scenario: the shipped file.
        overrides: assignments over it.
        target: the name of a smaller run that `subject` is recorded beside; empty for the subject itself.
    """

    subject: str
    words: str
    scenario: str
    overrides: tuple[str, ...] = ()
    target: str = ""


def _machines(count: int, duration_s: int, target: str = "") -> Workload:
    return Workload(
        "machines",
        f"{count:,} machines at {RATE_PER_MACHINE} requests/s each, {duration_s} s, join the shortest queue, compat",
        BASELINE,
        (
            f"replicas.all.count={count}",
            f"trace.rate_per_s={RATE_PER_MACHINE * count}",
            f"trace.duration_s={duration_s}",
        ),
        target,
    )


def _minutes(count: int, target: str = "") -> Workload:
    words = f"40 machines, 70 requests/s for {count} minutes, compat"
    return Workload("minutes", words, BASELINE, (f"trace.duration_s={60 * count}",), target)


def _week(share: float) -> Workload:
    return Workload(
        "week",
        f"the whole week of 2024, conversation, rate scaled by {share:g}, on 1 machine, power by minute, compat",
        BASELINE,
        (
            f'trace={{kind="week",rate_factor={share}}}',
            "replicas.all.count=1",
            "report.series_s=60",
        ),
    )


SPEED = (
    Workload("whole-compat", "40 H100 machines, 70 requests/s for 2 minutes", BASELINE),
    Workload("split-compat", "the same load on 25 prefill and 15 decode machines", SPLIT),
    Workload("whole-context", "as whole-compat, with the cost of contexts", BASELINE, CONTEXT),
    Workload(
        "split-context", "as split-compat, with the cost of contexts, shared links", SPLIT, CONTEXT
    ),
)
FULL = (
    *SPEED,
    _machines(1000, 40),
    _machines(100, 40, "machines100"),
    _machines(10, 40, "machines10"),
    _minutes(20),
    _minutes(2, "minutes2"),
    _week(WEEK_SHARE),
)
QUICK = (
    *SPEED,
    _machines(1000, 5),
    _machines(100, 5, "machines100"),
    _machines(10, 5, "machines10"),
)
BASELINES = ("machines10", "machines100", "minutes2")
SPLITWISE_SIM: Mapping[str, float] = {"whole-compat": 242, "split-compat": 101}
"""Requests per CPU-second of splitwise-sim (commit 8f99e7d) on the same trace and cluster, on another machine: quoted."""
