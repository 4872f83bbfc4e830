"""Cold starts: a function at zero replicas, a whole deployment, and beside them the bare program from its fork."""

import time
from collections.abc import Callable, Mapping
from functools import partial

from loadtests import baselines, generators, rounds
from loadtests.effort import BODY_BYTES, Effort
from loadtests.failure import Attempts, Place
from loadtests.gateway import Gateway, GatewayRefused
from loadtests.instance import Instance
from loadtests.placement import Placement
from loadtests.program import Program
from loadtests.quantiles import quantile
from loadtests.quiet import Quiet
from loadtests.record import Subject
from loadtests.series import OURS, Series

FUNCTIONS = ("aes", "hello")
GONE_WAIT_S = 30.0
PAUSE_S = 0.15
"""Before each launch: a front door asks for a replica of one function at most once in 0.1 s (docs/protocols.md)."""
LAUNCH = "launch_to_first_200_ms_p50"
DEPLOY = "deploy_to_first_200_ms_p50"


def measure(
    host: Instance,
    images: str,
    programs: Mapping[str, Program],
    effort: Effort,
    seed: int,
    *,
    quiet: Quiet,
    attempts: Attempts,
    found: list[Series],
    after_round: Callable[[], None],
) -> None:
    """Measures launches of all kinds and functions, interleaved, into `found`; leaves the host without the functions."""
    made = {name: Series("cold", Subject(name, "", str(Placement.OWN))) for name in FUNCTIONS}
    kinds: dict[tuple[str, str], Callable[[], float]] = {}
    for name in FUNCTIONS:
        image = f"{images}/{name}:latest"
        host.gateway.deploy(deployed(name), image)
        kinds[name, LAUNCH] = partial(from_zero_ms, host, deployed(name))
        kinds[name, DEPLOY] = partial(_deploy_ms, host, deployed(name), image)
        kinds[name, "bare"] = partial(bare_ms, programs[name])
    found += made.values()
    for (name, kind), launch in kinds.items():
        attempts.run(_place(name, kind), "first launch", partial(_once, launch))
    plan = rounds.interleave(list(kinds), effort.rounds, seed)
    for number, order in enumerate(plan, start=1):
        attempts.say(
            f"cold starts: round {number} of {effort.rounds}, {effort.launches} of each kind"
        )
        for name, kind in order:
            if attempts.given_up(_place(name, kind), "launches"):
                continue
            quiet.wait()
            take = partial(_take, made[name], kind, kinds[name, kind], effort.launches, number)
            attempts.run(_place(name, kind), "launches", take, number)
        after_round()
    for name in FUNCTIONS:
        host.gateway.remove(deployed(name))
        wait_until_gone(host, deployed(name))


def _once(launch: Callable[[], float]) -> None:
    """A launch that is not counted: the first reads files that later ones find in memory."""
    launch()


def _place(name: str, kind: str) -> Place:
    return Place("cold", name, "bare" if kind == "bare" else kind, str(Placement.OWN))


def _take(
    series: Series, kind: str, launch: Callable[[], float], launches: int, number: int
) -> None:
    """Adds the median of some launches of one kind as the value of a round."""
    p50 = quantile([launch() for _ in range(launches)], 0.5)
    if kind == "bare":
        series.add("bare", LAUNCH, p50, number)
        series.add("bare", DEPLOY, p50, number)
    else:
        series.add(OURS, kind, p50, number)


def deployed(name: str) -> str:
    """What a function is called while its launches are measured."""
    return f"cold-{name}"


def from_zero_ms(host: Instance, function: str) -> float:
    """From an invocation of a function, scaled to zero before, to its answer."""
    host.gateway.scale(function, 0)
    host.gateway.wait_for_replicas(function, 0)
    wait_until_gone(host, function)
    time.sleep(PAUSE_S)
    return first_answer_ms(host.gateway.url(function))


def _deploy_ms(host: Instance, function: str, image: str) -> float:
    gateway: Gateway = host.gateway
    gateway.remove(function)
    wait_until_gone(host, function)
    time.sleep(PAUSE_S)
    before_ns = time.monotonic_ns()
    gateway.deploy(function, image)
    status, _ = gateway.invoke(function, b"x" * BODY_BYTES)
    elapsed_ms = (time.monotonic_ns() - before_ns) / 1e6
    if status != 200:
        raise GatewayRefused(f"the first invocation after a deployment got {status}")
    return elapsed_ms


def bare_ms(program: Program) -> float:
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
