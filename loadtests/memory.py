"""Memory per idle replica: what the platform adds to the function's own."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from loadtests import baselines, process_cost, rounds
from loadtests.effort import Effort
from loadtests.instance import Instance
from loadtests.machine import meminfo_kib
from loadtests.series import OURS, Series

Say = Callable[[str], None]
SETTLE_S = 1.0
"""Freed memory shows up after RCU grace periods and per-CPU lists are drained."""
PLATFORM_ROLES = ("control", "front door", "keepers")


def measure(
    host: Instance, function: str, program: Path, effort: Effort, seed: int, say: Say
) -> Series:
    """Measures N replicas against one, and N bare processes against none, interleaved."""
    series = Series("memory")
    for number, order in enumerate(
        rounds.interleave(["ours", "bare"], effort.rounds, seed), start=1
    ):
        fallen: dict[str, float] = {}
        for kind in order:
            say(f"round {number} of {effort.rounds}: {effort.replicas} idle replicas, {kind}")
            if kind == "bare":
                fallen[kind] = _bare_mib(program, effort.replicas)
            else:
                fallen[kind], processes = _replicas_mib(host, function, effort.replicas)
                series.add(OURS, "platform_pss_mib_per_replica", processes)
        available = fallen["ours"] - fallen["bare"]
        processes = series.of(OURS, "platform_pss_mib_per_replica")[-1]
        series.add(OURS, "available_mib_per_replica", available)
        series.add(OURS, "total_mib_per_replica", fallen["ours"])
        series.add("bare", "total_mib_per_replica", fallen["bare"])
        series.add(OURS, "platform_mib_per_replica", max(available, processes))
    return series


def _replicas_mib(host: Instance, function: str, replicas: int) -> tuple[float, float]:
    """Fall of MemAvailable, and growth of the platform's own processes, both per further replica."""
    _scale(host, function, 1)
    available = _available_kib()
    platform = _platform_pss_kib(host)
    _scale(host, function, 1 + replicas)
    fallen = available - _available_kib()
    grown = _platform_pss_kib(host) - platform
    _scale(host, function, 1)
    return fallen / 1024 / replicas, grown / 1024 / replicas


def _scale(host: Instance, function: str, replicas: int) -> None:
    host.gateway.scale(function, replicas)
    host.gateway.wait_for_replicas(function, replicas)
    while len([one for one in host.sandboxes() if one.name == function]) != replicas:
        time.sleep(0.02)
    time.sleep(SETTLE_S)


def _bare_mib(program: Path, replicas: int) -> float:
    """Fall of MemAvailable per bare process; one runs already, as one replica does in the other measurement."""
    with ExitStack() as stack:
        stack.enter_context(baselines.bare(program))
        time.sleep(SETTLE_S)
        available = _available_kib()
        for _ in range(replicas):
            stack.enter_context(baselines.bare(program))
        time.sleep(SETTLE_S)
        return (available - _available_kib()) / 1024 / replicas


def _available_kib() -> int:
    return meminfo_kib("MemAvailable")


def _platform_pss_kib(host: Instance) -> int:
    processes = host.platform()
    return process_cost.pss_kib(pid for role in PLATFORM_ROLES for pid in processes[role])
