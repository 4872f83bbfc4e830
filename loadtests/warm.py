"""Warm invocations: latency one after the other, throughput in closed loops, CPU time per invocation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loadtests import generators, process_cost, rounds
from loadtests.baselines import Target
from loadtests.effort import BODY_BYTES, CONNECTIONS, EDGE, Effort
from loadtests.generators import require_success
from loadtests.quantiles import quantile
from loadtests.quiet import Quiet
from loadtests.series import OURS, Series

Say = Callable[[str], None]
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


@dataclass(slots=True)
class Warm:
    """The figures, and every sequential latency of each target for the plot."""

    series: Series = field(default_factory=lambda: Series("warm"))
    samples_us: dict[str, list[float]] = field(default_factory=dict)


def measure(
    targets: Sequence[Target],
    effort: Effort,
    seed: int,
    *,
    use_wrk: bool,
    quiet: Quiet,
    say: Say,
) -> Warm:
    """Measures all targets, interleaved.

    Raises:
        GeneratorFailed: an invocation failed. A figure over failures would flatter whoever fails fast.
    """
    result = Warm()
    for target in targets:
        say(f"warming up {target.name}")
        require_success(
            target.name,
            generators.closed_loop(target.url, EDGE, effort.warmup_s, BODY_BYTES, use_wrk=False),
        )
    for number, order in enumerate(rounds.interleave(targets, effort.rounds, seed), start=1):
        for target in order:
            say(f"round {number} of {effort.rounds}: {target.name}")
            quiet.wait()
            _sequential(target, effort, result)
            for connections in CONNECTIONS:
                quiet.wait()
                _closed(target, connections, effort, result, use_wrk=use_wrk)
    return result


def _sequential(target: Target, effort: Effort, result: Warm) -> None:
    processes = target.processes()
    before = _cpu_ns(processes)
    measured = require_success(
        target.name,
        generators.sequential(target.url, effort.requests, effort.warmup_requests, BODY_BYTES),
    )
    spent = _spent_us(before, _cpu_ns(processes), effort.requests + effort.warmup_requests)
    samples_us = [sample / 1000 for sample in measured.samples_ns]
    result.samples_us.setdefault(target.name, []).extend(samples_us)
    for name, share in QUANTILES:
        result.series.add(target.name, f"latency_us_{name}", quantile(samples_us, share))
    _note_cpu(target, spent, "sequential", result)


def _closed(
    target: Target, connections: int, effort: Effort, result: Warm, *, use_wrk: bool
) -> None:
    processes = target.processes()
    before = _cpu_ns(processes)
    measured = require_success(
        target.name,
        generators.closed_loop(
            target.url, connections, effort.duration_s, BODY_BYTES, use_wrk=use_wrk
        ),
    )
    result.series.add(target.name, f"rps_c{connections}", measured.rps)
    # wrk has no warm-up of its own, so its requests are all that the processes served meanwhile.
    if connections == EDGE and use_wrk:
        spent = _spent_us(before, _cpu_ns(processes), measured.requests)
        _note_cpu(target, spent, f"c{connections}", result)


def _cpu_ns(processes: dict[str, list[int]]) -> dict[str, int]:
    return {role: process_cost.cpu_ns(pids) for role, pids in processes.items()}


def _spent_us(before: dict[str, int], after: dict[str, int], invocations: int) -> dict[str, float]:
    return {role: (after[role] - before[role]) / 1000 / max(invocations, 1) for role in before}


def _note_cpu(target: Target, spent_us: dict[str, float], load: str, result: Warm) -> None:
    result.series.add(target.name, f"cpu_us_{load}", sum(spent_us.values()))
    if target.name == OURS:
        for role, value in spent_us.items():
            result.series.add(target.name, f"cpu_us_{load}_{role.replace(' ', '_')}", value)
