"""Cold starts: a function without a replica, and a deployment, each to the first 200, behind every system."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from loadtests import rounds
from loadtests.effort import BODY_BYTES
from loadtests.failure import Attempts, Place
from loadtests.gateway import Gateway, GatewayRefused
from loadtests.incumbent.effort import Effort
from loadtests.quantiles import quantile
from loadtests.quiet import Quiet
from loadtests.series import Series

FUNCTION = "cold"
FIRST_WAIT_S = 60.0
PAUSE_S = 0.15
"""Before each launch: a front door asks for a replica of one function at most once in 0.1 s (docs/protocols.md)."""
POLL_S = 0.001
LAUNCH = "launch_to_first_200_ms_p50"
DEPLOY = "deploy_to_first_200_ms_p50"
REFUSED = "launch_refused_count"


@dataclass(frozen=True, slots=True)
class Platform:
    """A system that starts functions.

    Attributes:
        name: as records call it.
        gateway: how it is asked.
        gone: returns once no process of `FUNCTION` is left.
        from_zero: whether an invocation starts a replica where there is none.
    """

    name: str
    gateway: Gateway
    gone: Callable[[], None]
    from_zero: bool


@dataclass(slots=True)
class Cold:
    """Measures all platforms in turn."""

    effort: Effort
    quiet: Quiet
    attempts: Attempts
    series: Series
    image: str
    after_round: Callable[[], None]

    def measure(self, platforms: list[Platform], seed: int) -> None:
        """Measures every platform once a round and leaves all without `FUNCTION`."""
        for platform in platforms:
            self.attempts.run(self._place(platform), "first launch", partial(self._first, platform))
        planned = rounds.interleave(platforms, self.effort.rounds, seed)
        for number, order in enumerate(planned, start=1):
            for platform in order:
                if self.attempts.given_up(self._place(platform), "launches"):
                    continue
                self.attempts.say(
                    f"round {number} of {self.effort.rounds}: cold starts, {platform.name}"
                )
                self.quiet.wait()
                launches = partial(self._round, platform, number)
                self.attempts.run(self._place(platform), "launches", launches, number)
            self.after_round()
        for platform in platforms:
            self.attempts.run(self._place(platform), "removal", partial(_remove, platform))

    def _place(self, platform: Platform) -> Place:
        subject = self.series.subject
        return Place(self.series.benchmark, subject.function, platform.name, subject.placement)

    def _first(self, platform: Platform) -> None:
        """A launch that is not counted: the first reads files that later ones find in memory."""
        platform.gateway.deploy(FUNCTION, self.image)
        first_200(platform.gateway)

    def _round(self, platform: Platform, number: int) -> None:
        if platform.from_zero:
            found = [self._launch(platform) for _ in range(self.effort.launches)]
            launches_ms = [elapsed_ms for elapsed_ms, _ in found]
            refusals = sum(refused > 0 for _, refused in found)
            self.series.add(platform.name, LAUNCH, quantile(launches_ms, 0.5), number)
            self.series.add(platform.name, REFUSED, refusals, number)
        deploys_ms = [self._deploy(platform) for _ in range(self.effort.launches)]
        self.series.add(platform.name, DEPLOY, quantile(deploys_ms, 0.5), number)

    def _launch(self, platform: Platform) -> tuple[float, int]:
        platform.gateway.scale(FUNCTION, 0)
        platform.gateway.wait_for_replicas(FUNCTION, 0)
        platform.gone()
        time.sleep(PAUSE_S)
        before_ns = time.monotonic_ns()
        refused = first_200(platform.gateway)
        return (time.monotonic_ns() - before_ns) / 1e6, refused

    def _deploy(self, platform: Platform) -> float:
        platform.gateway.remove(FUNCTION)
        platform.gone()
        time.sleep(PAUSE_S)
        before_ns = time.monotonic_ns()
        platform.gateway.deploy(FUNCTION, self.image)
        first_200(platform.gateway)
        return (time.monotonic_ns() - before_ns) / 1e6


def _remove(platform: Platform) -> None:
    platform.gateway.remove(FUNCTION)
    platform.gone()


def first_200(gateway: Gateway, function: str = FUNCTION) -> int:
    """Invokes a function until it answers 200; returns how many answers were something else.

    A client of a system that says "running" before the function listens has no choice but to try again.

    Raises:
        GatewayRefused: it has not answered 200 after a minute.
    """
    deadline_ns = time.monotonic_ns() + int(FIRST_WAIT_S * 1e9)
    refused = 0
    while (status := gateway.invoke(function, b"x" * BODY_BYTES)[0]) != 200:
        if time.monotonic_ns() > deadline_ns:
            raise GatewayRefused(f"{function} still answers {status} after {FIRST_WAIT_S:.0f} s")
        refused += 1
        time.sleep(POLL_S)
    return refused
