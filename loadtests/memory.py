"""Memory per idle replica: what the platform adds to the function's own."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from loadtests import baselines, process_cost, rounds
from loadtests.effort import Effort
from loadtests.failure import Attempts, Place
from loadtests.instance import Instance
from loadtests.machine import meminfo_kib
from loadtests.placement import Placement
from loadtests.program import Program
from loadtests.record import Subject
from loadtests.series import OURS, Series

SETTLE_S = 1.0
"""Freed memory shows up after RCU grace periods and per-CPU lists are drained."""
PLATFORM_ROLES = ("control", "front door", "keepers")
KERNEL_FIELDS = ("SUnreclaim", "KernelStack", "PageTables", "Percpu", "Shmem")
"""What the kernel holds for sandboxes: namespaces, mounts, cgroups, threads, and the pages of their tmpfs."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Memory of the machine and of the platform's processes, in KiB."""

    taken: int
    kernel: int
    platform: int

    @classmethod
    def now(cls, platform_pids: list[int]) -> "Reading":
        """Reads the counters."""
        kernel = sum(meminfo_kib(name) for name in KERNEL_FIELDS)
        return cls(-meminfo_kib("MemAvailable"), kernel, process_cost.pss_kib(platform_pids))

    def growth_mib(self, earlier: "Reading", replicas: int) -> "Growth":
        """What came to it since, per replica."""
        scale = 1024 * replicas
        return Growth(
            (self.taken - earlier.taken) / scale,
            (self.kernel - earlier.kernel) / scale,
            (self.platform - earlier.platform) / scale,
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory per replica, in MiB: fall of MemAvailable, kernel, platform processes."""

    available: float
    kernel: float
    platform: float


def measure(
    host: Instance,
    function: str,
    program: Program,
    effort: Effort,
    seed: int,
    *,
    attempts: Attempts,
    found: list[Series],
    after_round: Callable[[], None],
) -> None:
    """Measures N more replicas beside N more bare processes, interleaved, into `found`.

    A round counts when both were measured: what the kernel needs for a replica is what it needs less than for bare.
    """
    series = Series("memory", Subject(function, "", str(Placement.OWN)))
    kinds: dict[str, Callable[[], Growth]] = {
        "ours": lambda: _replicas(host, function, effort.replicas),
        "bare": lambda: _bare(program, effort.replicas),
    }
    found.append(series)
    place = Place("memory", function, "", str(Placement.OWN))
    for number, order in enumerate(rounds.interleave(list(kinds), effort.rounds, seed), start=1):
        if attempts.given_up(place, "round"):
            break
        attempts.say(
            f"memory: round {number} of {effort.rounds}, {effort.replicas} idle replicas each"
        )

        def take(order: list[str] = order, number: int = number) -> None:
            grown = {kind: kinds[kind]() for kind in order}
            note(series, grown["ours"], grown["bare"], number)

        attempts.run(place, "round", take, number)
        after_round()


def note(series: Series, ours: Growth, bare: Growth, number: int | None = None) -> None:
    """Adds the figures of one round (docs/metrics.md)."""
    kernel = ours.kernel - bare.kernel
    for figure, value in (
        ("platform_mib_per_replica", ours.platform + max(0.0, kernel)),
        ("platform_processes_mib_per_replica", ours.platform),
        ("platform_kernel_mib_per_replica", kernel),
        ("available_mib_per_replica", ours.available),
    ):
        series.add(OURS, figure, value, number)
    series.add("bare", "available_mib_per_replica", bare.available, number)


def _replicas(host: Instance, function: str, replicas: int) -> Growth:
    _scale(host, function, 1)
    before = Reading.now(_platform(host))
    _scale(host, function, 1 + replicas)
    grown = Reading.now(_platform(host)).growth_mib(before, replicas)
    _scale(host, function, 1)
    return grown


def _scale(host: Instance, function: str, replicas: int) -> None:
    host.gateway.scale(function, replicas)
    host.gateway.wait_for_replicas(function, replicas)
    host.wait_for_keepers(replicas, function)
    time.sleep(SETTLE_S)


def _bare(program: Program, replicas: int) -> Growth:
    """One process runs already when counting begins, as one replica does in the other measurement."""
    with ExitStack() as stack:
        stack.enter_context(baselines.bare(program))
        time.sleep(SETTLE_S)
        before = Reading.now([])
        for _ in range(replicas):
            stack.enter_context(baselines.bare(program))
        time.sleep(SETTLE_S)
        return Reading.now([]).growth_mib(before, replicas)


def _platform(host: Instance) -> list[int]:
    processes = host.platform()
    return [pid for role in PLATFORM_ROLES for pid in processes[role]]
