"""Everything that the comparison needs, side by side: junctiond, the incumbent's stack, and two floors."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests import baselines, nginx_proxy, registry
from loadtests.baselines import Target
from loadtests.function_image import extract
from loadtests.gateway import GatewayRefused
from loadtests.incumbent.cold import FUNCTION as COLD
from loadtests.incumbent.cold import Platform, first_200
from loadtests.incumbent.openfaas import CACHED, STOCK, OpenFaas, openfaas
from loadtests.instance import Instance, instance
from loadtests.placement import Placement, servers
from loadtests.program import Program
from loadtests.series import OURS

SUBJECT = "aes"
"""What records call the function."""
PLAIN = "aes"
PACKAGED = "aes-watchdog"
"""Its image as OpenFaaS users package it: a watchdog before the function. junctiond starts the function without it."""
CACHED_PLAIN = "openfaas-cached-plain"
"""The cached stack before the plain image, without a watchdog: what is left when that hop is taken away too."""
BASELINES = ("bare", "nginx", CACHED_PLAIN, CACHED, STOCK)
GONE_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Sides:
    """What is measured.

    Attributes:
        host: junctiond.
        stack: OpenFaaS on containerd.
        image: of `PACKAGED`, in the registry that both pull from.
        program: the same program without a platform.
        targets: the function behind every system, ours first.
        brief: one more, measured in less detail.
    """

    host: Instance
    stack: OpenFaas
    image: str
    program: Program
    targets: list[Target]
    brief: Target

    def platforms(self) -> list[Platform]:
        """The systems that start functions."""
        openfaas_doors = self.stack.doors
        return [
            Platform(OURS, self.host.gateway, self._no_keeper, from_zero=True),
            Platform(STOCK, openfaas_doors[STOCK].gateway, self._no_task, from_zero=True),
        ]

    def _no_keeper(self) -> None:
        """Waits until the last sandbox of the function that cold starts use has gone."""
        deadline_ns = time.monotonic_ns() + int(GONE_WAIT_S * 1e9)
        while self.host.keepers(COLD):
            if time.monotonic_ns() > deadline_ns:
                raise GatewayRefused(f"sandboxes of {COLD} remain after {GONE_WAIT_S:.0f} s")
            time.sleep(0.005)

    def _no_task(self) -> None:
        """Nothing to wait for: the stack's provider answers once the task has ended."""


@contextmanager
def sides(folder: Path, placement: Placement) -> Iterator[Sides]:
    """Starts all systems in a placement with the function on each, and takes everything down.

    Raises:
        TargetFailed: one does not come up.
    """
    with ExitStack() as stack:
        images = stack.enter_context(registry.registry(folder))
        registry.push(images)
        image = f"{images}/{PACKAGED}:latest"
        program = extract(PACKAGED, folder / "unpacked")
        nginx = extract("nginx", folder / "unpacked")
        with servers(placement):
            bare = stack.enter_context(baselines.bare(program))
            proxied = stack.enter_context(nginx_proxy.proxies(nginx, {SUBJECT: bare}, placement))
            incumbent = stack.enter_context(openfaas(folder / "openfaas"))
        host = stack.enter_context(instance(placement))
        host.gateway.deploy(PACKAGED, image)
        host.gateway.wait_for_replicas(PACKAGED, 1)
        for function in (PACKAGED, PLAIN):
            incumbent.stock.deploy(function, f"{images}/{function}:latest")
            first_200(incumbent.stock, function)
            first_200(incumbent.doors[CACHED].gateway, function)
        targets = [host.target(PACKAGED), bare, proxied[SUBJECT]]
        targets += [incumbent.target(mode, PACKAGED, mode) for mode in (CACHED, STOCK)]
        brief = incumbent.target(CACHED, PLAIN, CACHED_PLAIN)
        yield Sides(host, incumbent, image, program, targets, brief)
