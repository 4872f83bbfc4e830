"""Warm invocations of the same function behind every system: latency, closed loops, open loops, new connections."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from loadtests import generators, neighbours, process_cost, rounds
from loadtests.baselines import Target
from loadtests.effort import BODY_BYTES, EDGE
from loadtests.failure import Attempts, Place
from loadtests.generators import ClientReport, GeneratorFailed, Measured
from loadtests.incumbent.effort import ENDS, OPEN_CONNECTIONS, Effort
from loadtests.mark import DISTURBED
from loadtests.quantiles import quantile
from loadtests.quiet import Quiet
from loadtests.series import Series

FAILED_SHARE_MAX = 0.01
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


@dataclass(slots=True)
class Warm:
    """Measures all targets in turn and keeps what it finds.

    Attributes:
        series: one value per round for each target and figure.
        samples_us: every sequential latency of each target, for the picture.
        roles_us: CPU time per invocation at `EDGE` connections by target and role, one value per round.
        number: of the present round.
        failed: invocations without a 200 in the present visit.
        peak_rps: the most of the closed loops of the present visit.
    """

    effort: Effort
    quiet: Quiet
    attempts: Attempts
    series: Series
    use_wrk: bool
    after_round: Callable[[], None]
    samples_us: dict[str, list[float]] = field(default_factory=dict)
    roles_us: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    number: int = 1
    failed: int = 0
    peak_rps: float = 0.0

    def measure(self, targets: Sequence[Target], brief: Sequence[Target], seed: int) -> None:
        """Measures every target once a round, in an order shuffled per round; those of `brief` in less detail.

        A step with more failures than `FAILED_SHARE_MAX` is noted and has no figure in that round: a figure over failures
        would flatter whoever fails fast. Fewer are counted beside the figures of their round, and so are all in open loops:
        near a system's peak a failure is a result.
        """
        everybody = [*targets, *brief]
        for target in everybody:
            self.attempts.say(f"warming up {target.name}")
            self.attempts.run(self._place(target), "warm-up", partial(self._warm_up, target))
        planned = rounds.interleave(everybody, self.effort.rounds, seed)
        for number, order in enumerate(planned, start=1):
            self.number = number
            for target in order:
                self.attempts.say(f"round {self.number} of {self.effort.rounds}: {target.name}")
                self.quiet.wait()
                visit = partial(self._watched, target, detailed=target not in brief)
                self.attempts.run(self._place(target), "visit", visit, self.number)
            self.after_round()

    def _warm_up(self, target: Target) -> None:
        self._closed_loop(target, EDGE, self.effort.warmup_s, use_wrk=False)

    def _watched(self, target: Target, *, detailed: bool) -> None:
        """A visit, and who else worked meanwhile."""
        own = {pid for pids in target.processes().values() for pid in pids}
        with neighbours.watching(own) as watch:
            self._visit(target, detailed=detailed)
        if watch.found:
            words = ", ".join(map(str, watch.found))
            self.attempts.note(DISTURBED, self._place(target), "visit", words, self.number)

    def _visit(self, target: Target, *, detailed: bool) -> None:
        """Runs the steps until one fails; one that failed in earlier rounds as well is left out from then on."""
        self.failed = 0
        self.peak_rps = 0.0
        for name, step in self._steps(target, detailed=detailed):
            if self.attempts.given_up(self._place(target), name):
                continue
            if not self.attempts.run(self._place(target), name, step, self.number):
                return
        self._add(target, "rps_peak", self.peak_rps)
        self._add(target, "failed_count", self.failed)

    def _steps(self, target: Target, *, detailed: bool) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "one after the other", partial(self._sequential, target)
        for connections in self.effort.connections if detailed else ENDS:
            yield f"closed loop with {connections}", partial(self._closed, target, connections)
        if detailed:
            for share in self.effort.shares:
                yield f"open loop at {share} %", partial(self._open, target, share)
            yield "new connections", partial(self._fresh, target)

    def _place(self, target: Target) -> Place:
        subject = self.series.subject
        return Place(self.series.benchmark, subject.function, target.name, subject.placement)

    def _add(self, target: Target, figure: str, value: float) -> None:
        self.series.add(target.name, figure, value, self.number)

    def _sequential(self, target: Target) -> None:
        warmup = self.effort.requests // 10
        with self._cpu(target) as spent:
            measured = generators.sequential(target.url, self.effort.requests, warmup, BODY_BYTES)
        self._note_failed(target.name, measured)
        samples_us = [sample / 1000 for sample in measured.samples_ns]
        self.samples_us.setdefault(target.name, []).extend(samples_us)
        for name, share in QUANTILES:
            self._add(target, f"latency_us_{name}", quantile(samples_us, share))
        total_us = sum(spent.values()) / (self.effort.requests + warmup)
        self._add(target, "cpu_us_sequential", total_us)

    def _closed(self, target: Target, connections: int) -> None:
        """A closed loop with so many connections; keeps the highest rate of the visit."""
        with self._cpu(target) as spent:
            measured = self._closed_loop(
                target, connections, self.effort.loop_s, use_wrk=self.use_wrk
            )
        self.peak_rps = max(self.peak_rps, measured.rps)
        self._add(target, f"rps_c{connections}", measured.rps)
        # wrk has no warm-up of its own, so its requests are all that the processes served meanwhile.
        if connections == EDGE and self.use_wrk:
            self._note_cpu(target, spent, measured.requests)

    def _note_cpu(self, target: Target, spent_us: dict[str, float], invocations: int) -> None:
        each = {role: spent / max(invocations, 1) for role, spent in spent_us.items()}
        self._add(target, f"cpu_us_c{EDGE}", sum(each.values()))
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

    def _open(self, target: Target, share: int) -> None:
        """A constant rate, latency counted from when each request was due (no coordinated omission)."""
        if self.peak_rps == 0:  # its closed loops failed, and that is noted
            return
        report, samples_ns = generators.run_client(
            target.url,
            "-mode=open",
            f"-rate={self.peak_rps * share / 100:.1f}",
            f"-connections={OPEN_CONNECTIONS}",
            f"-duration={self.effort.open_s}s",
            f"-warmup={self.effort.warmup_s}s",
            f"-body-bytes={BODY_BYTES}",
        )
        if not samples_ns:
            raise GeneratorFailed(f"{target.name}: no answer at {share} % but {report.failures}")
        for name, rank in (("p50", 0.5), ("p99", 0.99)):
            value_ms = quantile(samples_ns, rank) / 1e6
            self._add(target, f"open{share}_latency_ms_{name}", value_ms)
        self._add(target, f"open{share}_unsent_count", report.unsent)
        self.failed += failed(report)

    def _fresh(self, target: Target) -> None:
        measured = generators.sequential(
            target.url, self.effort.fresh, self.effort.fresh // 10, BODY_BYTES, fresh=True
        )
        self._note_failed(target.name, measured)
        p50_us = quantile(measured.samples_ns, 0.5) / 1000
        self._add(target, "fresh_latency_us_p50", p50_us)

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
