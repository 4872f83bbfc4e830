"""Memory per idle replica, of both systems and of the bare program."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from loadtests import baselines, rounds
from loadtests.gateway import GatewayRefused
from loadtests.incumbent.effort import Effort
from loadtests.incumbent.openfaas import STOCK, OpenFaas
from loadtests.instance import Instance
from loadtests.memory import Growth, Reading
from loadtests.program import Program
from loadtests.quiet import Quiet
from loadtests.series import OURS, Series

Say = Callable[[str], None]
SETTLE_S = 1.0
"""Freed memory shows up after RCU grace periods and per-CPU lists are drained."""
KEEPERS_WAIT_S = 30.0
BARE = "bare"


@dataclass(slots=True)
class Memory:
    """Measures N more idle replicas of `function` with each system."""

    effort: Effort
    quiet: Quiet
    say: Say
    series: Series
    host: Instance
    stack: OpenFaas
    function: str
    image: str
    program: Program

    def measure(self, seed: int) -> None:
        """Measures every system once a round."""
        kinds: dict[str, Callable[[], Growth]] = {
            OURS: self._ours,
            STOCK: self._openfaas,
            BARE: self._bare,
        }
        planned = rounds.interleave(list(kinds), self.effort.rounds, seed)
        for number, order in enumerate(planned, start=1):
            found = {}
            for kind in order:
                self.say(
                    f"round {number} of {self.effort.rounds}: "
                    f"{self.effort.replicas} idle replicas, {kind}"
                )
                self.quiet.wait()
                found[kind] = kinds[kind]()
            note(self.series, found)

    def _ours(self) -> Growth:
        def platform() -> list[int]:
            roles = self.host.platform()
            return [pid for role, pids in roles.items() if role != "function" for pid in pids]

        def scale(replicas: int) -> None:
            self.host.gateway.scale(self.function, replicas)
            self.host.gateway.wait_for_replicas(self.function, replicas)
            self._wait_for_keepers(replicas)
            time.sleep(SETTLE_S)

        scale(1)
        before = Reading.now(platform())
        scale(1 + self.effort.replicas)
        grown = Reading.now(platform()).growth_mib(before, self.effort.replicas)
        scale(1)
        return grown

    def _wait_for_keepers(self, replicas: int) -> None:
        deadline_ns = time.monotonic_ns() + int(KEEPERS_WAIT_S * 1e9)
        while (found := len(self.host.keepers(self.function))) != replicas:
            if time.monotonic_ns() > deadline_ns:
                raise GatewayRefused(f"{self.function} has {found} keepers, not {replicas}")
            time.sleep(0.02)

    def _openfaas(self) -> Growth:
        """As many functions of one replica: more than one of a function this stack, like faasd, cannot have."""

        def platform() -> list[int]:
            roles = self.stack.platform(STOCK)
            return [pid for role, pids in roles.items() if role != "function" for pid in pids]

        names = [f"idle-{number}" for number in range(self.effort.replicas)]
        time.sleep(SETTLE_S)
        before = Reading.now(platform())
        for name in names:
            self.stack.stock.deploy(name, self.image)
        time.sleep(SETTLE_S)
        grown = Reading.now(platform()).growth_mib(before, self.effort.replicas)
        for name in names:
            self.stack.stock.remove(name)
        return grown

    def _bare(self) -> Growth:
        with ExitStack() as stack:
            stack.enter_context(baselines.bare(self.program))
            time.sleep(SETTLE_S)
            before = Reading.now([])
            for _ in range(self.effort.replicas):
                stack.enter_context(baselines.bare(self.program))
            time.sleep(SETTLE_S)
            return Reading.now([]).growth_mib(before, self.effort.replicas)


def note(series: Series, found: dict[str, Growth]) -> None:
    """Adds the figures of one round (docs/metrics.md); the kernel's part is less what bare processes need too."""
    for name, grown in found.items():
        series.add(name, "available_mib_per_replica", grown.available)
        if name != BARE:
            kernel = max(0.0, grown.kernel - found[BARE].kernel)
            series.add(name, "platform_mib_per_replica", grown.platform + kernel)
