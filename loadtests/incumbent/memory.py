"""Memory per idle replica, of both systems and of the bare program."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from loadtests import baselines, rounds
from loadtests.failure import Attempts, Place
from loadtests.incumbent.effort import Effort
from loadtests.incumbent.openfaas import STOCK, OpenFaas
from loadtests.instance import Instance
from loadtests.memory import Growth, Reading
from loadtests.program import Program
from loadtests.quiet import Quiet
from loadtests.series import OURS, Series

SETTLE_S = 1.0
"""Freed memory shows up after RCU grace periods and per-CPU lists are drained."""
BARE = "bare"


@dataclass(slots=True)
class Memory:
    """Measures N more idle replicas of `function` with each system."""

    effort: Effort
    quiet: Quiet
    attempts: Attempts
    series: Series
    host: Instance
    stack: OpenFaas
    function: str
    image: str
    program: Program
    after_round: Callable[[], None]

    def measure(self, seed: int) -> None:
        """Measures every system once a round."""
        kinds: dict[str, Callable[[], Growth]] = {
            OURS: self._ours,
            STOCK: self._openfaas,
            BARE: self._bare,
        }
        planned = rounds.interleave(list(kinds), self.effort.rounds, seed)
        subject = self.series.subject
        for number, order in enumerate(planned, start=1):
            found: dict[str, Growth] = {}
            for kind in order:
                place = Place(self.series.benchmark, subject.function, kind, subject.placement)
                if self.attempts.given_up(place, "idle replicas"):
                    continue
                self.attempts.say(
                    f"round {number} of {self.effort.rounds}: "
                    f"{self.effort.replicas} idle replicas, {kind}"
                )
                self.quiet.wait()

                def take(kind: str = kind, found: dict[str, Growth] = found) -> None:
                    found[kind] = kinds[kind]()

                self.attempts.run(place, "idle replicas", take, number)
            note(self.series, found, number)
            self.after_round()

    def _ours(self) -> Growth:
        def platform() -> list[int]:
            roles = self.host.platform()
            return [pid for role, pids in roles.items() if role != "function" for pid in pids]

        def scale(replicas: int) -> None:
            self.host.gateway.scale(self.function, replicas)
            self.host.gateway.wait_for_replicas(self.function, replicas)
            self.host.wait_for_keepers(replicas, self.function)
            time.sleep(SETTLE_S)

        scale(1)
        before = Reading.now(platform())
        scale(1 + self.effort.replicas)
        grown = Reading.now(platform()).growth_mib(before, self.effort.replicas)
        scale(1)
        return grown

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


def note(series: Series, found: dict[str, Growth], number: int | None = None) -> None:
    """Adds the figures of one round (docs/metrics.md); the kernel's part is less what bare processes need too."""
    for name, grown in found.items():
        series.add(name, "available_mib_per_replica", grown.available, number)
        if name != BARE and BARE in found:
            kernel = max(0.0, grown.kernel - found[BARE].kernel)
            series.add(name, "platform_mib_per_replica", grown.platform + kernel, number)
