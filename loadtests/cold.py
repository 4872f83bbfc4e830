"""Cold starts: a function at zero replicas, a whole deployment, and beside them the bare program from its fork."""

import time
from collections.abc import Callable
from pathlib import Path

from loadtests import baselines, generators, rounds
from loadtests.effort import BODY_BYTES, Effort
from loadtests.gateway import Gateway, GatewayRefused
from loadtests.instance import Instance
from loadtests.quantiles import quantile
from loadtests.quiet import Quiet
from loadtests.series import OURS, Series

Say = Callable[[str], None]
FUNCTION = "cold"
GONE_WAIT_S = 30.0
PAUSE_S = 0.15
"""Before each launch: a front door asks for a replica of one function at most once in 0.1 s (docs/protocols.md)."""
LAUNCH = "launch_to_first_200_ms_p50"
DEPLOY = "deploy_to_first_200_ms_p50"


def measure(
    host: Instance,
    image: str,
    program: Path,
    effort: Effort,
    seed: int,
    *,
    quiet: Quiet,
    say: Say,
) -> Series:
    """Measures launches of all kinds, interleaved; leaves the host without the function it used."""
    series = Series("cold")
    gateway = host.gateway
    gateway.deploy(FUNCTION, image)
    kinds: dict[str, Callable[[], float]] = {
        "from zero": lambda: from_zero_ms(host),
        "deploy": lambda: _deploy_ms(host, image),
        "bare": lambda: bare_ms(program),
    }
    for kind in kinds.values():
        kind()
    for number, order in enumerate(rounds.interleave(list(kinds), effort.rounds, seed), start=1):
        for name in order:
            say(f"round {number} of {effort.rounds}: {effort.launches} launches, {name}")
            quiet.wait()
            p50 = quantile([kinds[name]() for _ in range(effort.launches)], 0.5)
            if name == "bare":
                series.add("bare", LAUNCH, p50)
                series.add("bare", DEPLOY, p50)
            else:
                series.add(OURS, LAUNCH if name == "from zero" else DEPLOY, p50)
    gateway.remove(FUNCTION)
    wait_until_gone(host, FUNCTION)
    return series


def from_zero_ms(host: Instance) -> float:
    """From an invocation of `FUNCTION`, scaled to zero before, to its answer."""
    host.gateway.scale(FUNCTION, 0)
    host.gateway.wait_for_replicas(FUNCTION, 0)
    wait_until_gone(host, FUNCTION)
    time.sleep(PAUSE_S)
    return first_answer_ms(host.gateway.url(FUNCTION))


def _deploy_ms(host: Instance, image: str) -> float:
    gateway: Gateway = host.gateway
    gateway.remove(FUNCTION)
    wait_until_gone(host, FUNCTION)
    time.sleep(PAUSE_S)
    before_ns = time.monotonic_ns()
    gateway.deploy(FUNCTION, image)
    status, _ = gateway.invoke(FUNCTION, b"x" * BODY_BYTES)
    elapsed_ms = (time.monotonic_ns() - before_ns) / 1e6
    if status != 200:
        raise GatewayRefused(f"the first invocation after a deployment got {status}")
    return elapsed_ms


def bare_ms(program: Path) -> float:
    """From the fork of the bare program to its first 200."""
    port = baselines.free_port()
    before_ns = time.monotonic_ns()
    process = baselines.launch(program, port)
    try:
        baselines.wait_for_200("127.0.0.1", port, process)
        return (time.monotonic_ns() - before_ns) / 1e6
    finally:
        process.kill()
        process.wait()


def first_answer_ms(url: str) -> float:
    """Milliseconds of one invocation on a new connection, which must answer 200."""
    report, samples = generators.run_client(
        url, "-requests=1", "-warmup-requests=0", f"-body-bytes={BODY_BYTES}", "-timeout=60s"
    )
    if report.codes != {"200": 1}:
        raise generators.GeneratorFailed(
            f"{url}: the first answer was {report.codes or report.failures}, not 200"
        )
    return samples[0] / 1e6


def wait_until_gone(host: Instance, function: str) -> None:
    """Waits until no sandbox of a function is left, so that its end does not disturb the next launch."""
    deadline_ns = time.monotonic_ns() + int(GONE_WAIT_S * 1e9)
    while host.keepers(function):
        if time.monotonic_ns() > deadline_ns:
            raise GatewayRefused(
                f"sandboxes of {function} are still there after {GONE_WAIT_S:.0f} s"
            )
        time.sleep(0.005)
