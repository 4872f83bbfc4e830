"""Warm invocations of the same function behind every system: latency, closed loops, open loops, new connections."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from loadtests import generators, process_cost, rounds
from loadtests.baselines import Target
from loadtests.effort import BODY_BYTES, EDGE
from loadtests.generators import ClientReport, GeneratorFailed, Measured
from loadtests.incumbent.effort import OPEN_CONNECTIONS, Effort
from loadtests.quantiles import quantile
from loadtests.quiet import Quiet
from loadtests.series import Series

Say = Callable[[str], None]
FAILED_SHARE_MAX = 0.01
ENDS = (1, EDGE, 64)
"""Connections of the closed loops that are measured in less detail."""
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


@dataclass(slots=True)
class Warm:
    """Measures all targets in turn and keeps what it finds.

    Attributes:
        series: one value per round for each target and figure.
        samples_us: every sequential latency of each target, for the picture.
        roles_us: CPU time per invocation at `EDGE` connections by target and role, one value per round.
        failed: invocations without a 200 in the present visit.
    """

    effort: Effort
    quiet: Quiet
    say: Say
    series: Series
    use_wrk: bool
    samples_us: dict[str, list[float]] = field(default_factory=dict)
    roles_us: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failed: int = 0

    def measure(self, targets: Sequence[Target], brief: Sequence[Target], seed: int) -> None:
        """Measures every target once a round, in an order shuffled per round; those of `brief` in less detail.

        Raises:
            GeneratorFailed: more than `FAILED_SHARE_MAX` of the invocations failed outside the open loops: a figure over
                failures would flatter whoever fails fast. Fewer are counted beside the figures of their round, and so
                are all in open loops: near a system's peak a failure is a result.
        """
        everybody = [*targets, *brief]
        for target in everybody:
            self.say(f"warming up {target.name}")
            self._closed_loop(target, EDGE, self.effort.warmup_s, use_wrk=False)
        planned = rounds.interleave(everybody, self.effort.rounds, seed)
        for number, order in enumerate(planned, start=1):
            for target in order:
                self.say(f"round {number} of {self.effort.rounds}: {target.name}")
                self.quiet.wait()
                self.failed = 0
                self._sequential(target)
                detailed = target not in brief
                peak_rps = self._closed(target, self.effort.connections if detailed else ENDS)
                if detailed:
                    for share in self.effort.shares:
                        self._open(target, share, peak_rps)
                    self._fresh(target)
                self.series.add(target.name, "failed_count", self.failed)

    def _sequential(self, target: Target) -> None:
        warmup = self.effort.requests // 10
        with self._cpu(target) as spent:
            measured = generators.sequential(target.url, self.effort.requests, warmup, BODY_BYTES)
        self._note_failed(target.name, measured)
        samples_us = [sample / 1000 for sample in measured.samples_ns]
        self.samples_us.setdefault(target.name, []).extend(samples_us)
        for name, share in QUANTILES:
            self.series.add(target.name, f"latency_us_{name}", quantile(samples_us, share))
        total_us = sum(spent.values()) / (self.effort.requests + warmup)
        self.series.add(target.name, "cpu_us_sequential", total_us)

    def _closed(self, target: Target, of: Sequence[int]) -> float:
        """A closed loop with each number of connections; returns the highest rate."""
        peak_rps = 0.0
        for connections in of:
            with self._cpu(target) as spent:
                measured = self._closed_loop(
                    target, connections, self.effort.loop_s, use_wrk=self.use_wrk
                )
            peak_rps = max(peak_rps, measured.rps)
            self.series.add(target.name, f"rps_c{connections}", measured.rps)
            # wrk has no warm-up of its own, so its requests are all that the processes served meanwhile.
            if connections == EDGE and self.use_wrk:
                self._note_cpu(target, spent, measured.requests)
        self.series.add(target.name, "rps_peak", peak_rps)
        return peak_rps

    def _note_cpu(self, target: Target, spent_us: dict[str, float], invocations: int) -> None:
        each = {role: spent / max(invocations, 1) for role, spent in spent_us.items()}
        self.series.add(target.name, f"cpu_us_c{EDGE}", sum(each.values()))
        for role, value in each.items():
            self.roles_us.setdefault(target.name, {}).setdefault(role, []).append(value)

    def _closed_loop(
        self, target: Target, connections: int, duration_s: float, *, use_wrk: bool
    ) -> Measured:
        measured = generators.closed_loop(
            target.url, connections, duration_s, BODY_BYTES, use_wrk=use_wrk
        )
        self._note_failed(target.name, measured)
        return measured

    def _note_failed(self, name: str, measured: Measured) -> None:
        if measured.failed > FAILED_SHARE_MAX * measured.requests or not measured.requests:
            raise GeneratorFailed(
                f"{name}: {measured.failed} failures beside {measured.requests} invocations"
            )
        self.failed += measured.failed

    def _open(self, target: Target, share: int, peak_rps: float) -> None:
        """A constant rate, latency counted from when each request was due (no coordinated omission)."""
        report, samples_ns = generators.run_client(
            target.url,
            "-mode=open",
            f"-rate={peak_rps * share / 100:.1f}",
            f"-connections={OPEN_CONNECTIONS}",
            f"-duration={self.effort.open_s}s",
            f"-warmup={self.effort.warmup_s}s",
            f"-body-bytes={BODY_BYTES}",
        )
        if not samples_ns:
            raise GeneratorFailed(f"{target.name}: no answer at {share} % but {report.failures}")
        for name, rank in (("p50", 0.5), ("p99", 0.99)):
            value_ms = quantile(samples_ns, rank) / 1e6
            self.series.add(target.name, f"open{share}_latency_ms_{name}", value_ms)
        self.series.add(target.name, f"open{share}_unsent_count", report.unsent)
        self.failed += failed(report)

    def _fresh(self, target: Target) -> None:
        measured = generators.sequential(
            target.url, self.effort.fresh, self.effort.fresh // 10, BODY_BYTES, fresh=True
        )
        self._note_failed(target.name, measured)
        p50_us = quantile(measured.samples_ns, 0.5) / 1000
        self.series.add(target.name, "fresh_latency_us_p50", p50_us)

    @contextmanager
    def _cpu(self, target: Target) -> Iterator[dict[str, float]]:
        """CPU time by role, in microseconds, that a block made a target's processes use; filled in at its end."""
        spent: dict[str, float] = {}
        processes = target.processes()
        before = {role: process_cost.cpu_ns(pids) for role, pids in processes.items()}
        yield spent
        for role, pids in processes.items():
            spent[role] = (process_cost.cpu_ns(pids) - before[role]) / 1000


def failed(report: ClientReport) -> int:
    """Requests that were sent and did not get a 200 of the usual length."""
    good = report.codes.get("200", 0)
    return report.requests - good + sum(report.failures.values()) + report.differing
