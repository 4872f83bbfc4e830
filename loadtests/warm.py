"""Warm invocations: latency one after the other, throughput in closed loops, CPU time, new connections, an open loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtests import attachment, generators, process_cost, rounds
from loadtests.attachment import carried
from loadtests.effort import BODY_BYTES, CONNECTIONS, EDGE, Effort
from loadtests.generators import require_success
from loadtests.instructions import counting
from loadtests.machine import CpuTimes
from loadtests.placement import Placement, clients
from loadtests.quantiles import quantile
from loadtests.quiet import Quiet
from loadtests.record import Subject
from loadtests.series import OURS, Series
from loadtests.stand import Cell

Say = Callable[[str], None]
Key = tuple[str, str, str]
SECTIONS = ("warm", "fresh", "open")
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
WARM_UP_TRIES = 5
OPEN_SHARE = 0.75
OPEN_CONNECTIONS = 64
"""Enough that a late answer does not hold the next request back."""


@dataclass(slots=True)
class Warm:
    """What was measured in one placement.

    Attributes:
        values: one value per round by (benchmark, subject, label of the cell) and figure.
        carried: by subject and label, which attachments the front door's counters showed, one per load of up to eight
            connections.
        samples_us: every sequential latency by subject and label, for the plot.
        steal: (subject, label, share of CPU time that the hypervisor gave to others) of every visit.
    """

    placement: Placement
    values: dict[Key, dict[str, list[float]]] = field(default_factory=dict)
    carried: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    samples_us: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    steal: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, benchmark: str, cell: Cell, figure: str, value: float) -> None:
        """Notes the value of the present round."""
        of = self.values.setdefault((benchmark, cell.subject, cell.label), {})
        of.setdefault(figure, []).append(value)

    def last(self, cell: Cell, figure: str) -> float:
        """A warm figure of the present round; zero where it was not measured."""
        values = self.values.get(("warm", cell.subject, cell.label), {}).get(figure, [])
        return values[-1] if values else 0.0

    def series(self, cells: Sequence[Cell]) -> list[Series]:
        """A series per benchmark and function of ours, with the function's baselines beside it."""
        made = []
        for cell in (one for one in cells if one.ours):
            beside = [one for one in cells if one.subject == cell.subject and not one.ours]
            for benchmark in SECTIONS:
                series = Series(benchmark, self._subject(cell))
                for one in (cell, *beside):
                    for figure, values in self.values.get(
                        (benchmark, one.subject, one.label), {}
                    ).items():
                        series.values[one.target.name, figure] = values
                made.append(series)
        return [one for one in made if one.figures(OURS)]

    def _subject(self, cell: Cell) -> Subject:
        seen = set(self.carried.get((cell.subject, cell.label), []))
        attached = seen.pop() if len(seen) == 1 else "mixed"
        return Subject(cell.subject, attached, str(self.placement))


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all visits share."""

    sections: Sequence[str]
    effort: Effort
    placement: Placement
    use_wrk: bool
    control_socket: Path


def measure(
    cells: Sequence[Cell], conditions: Conditions, seed: int, *, quiet: Quiet, say: Say
) -> tuple[Warm, list[Cell]]:
    """Measures all cells, interleaved; returns what was measured and the cells that were worth it.

    Raises:
        GeneratorFailed: an invocation failed. A figure over failures would flatter whoever fails fast.
    """
    result = Warm(conditions.placement)
    with clients(conditions.placement):
        kept = distinct(cells, {id(cell): _warm_up(cell, conditions, say) for cell in cells}, say)
        plan = rounds.interleave(kept, conditions.effort.rounds, seed)
        for number, order in enumerate(plan, start=1):
            say(f"{conditions.placement.letter}: round {number} of {len(plan)}, {len(order)} cells")
            for cell in order:
                quiet.wait()
                before = CpuTimes.now()
                _visit(cell, conditions, result)
                steal, _ = CpuTimes.now().shares_since(before)
                result.steal.append((cell.subject, cell.label, round(steal, 4)))
    return result, kept


def distinct(cells: Sequence[Cell], seen: dict[int, str], say: Say) -> list[Cell]:
    """The cells without those that would measure the same twice: rings were wanted, and the program cannot use them."""
    alone = {cell.subject for cell in cells if cell.label == "ring" and seen[id(cell)] == "fd"}
    if alone:
        say(f"rings are on and not used by {', '.join(sorted(alone))}")
    return [cell for cell in cells if not (cell.label == "fd" and cell.subject in alone)]


def _warm_up(cell: Cell, conditions: Conditions, say: Say) -> str:
    """Warms a cell up; returns the attachment that carried it, empty for a baseline."""
    for _ in range(WARM_UP_TRIES):
        loop = generators.closed_loop(
            cell.target.url, EDGE, conditions.effort.warmup_s, BODY_BYTES, use_wrk=False
        )
        if loop.requests or loop.failed:
            break
        say(f"{cell.subject} {cell.label}: no answer in the first loop, which may be a slow start")
    require_success(f"{cell.subject} {cell.label}", loop)
    before = _rings(cell, conditions)
    generators.sequential(cell.target.url, conditions.effort.warmup_requests, 1, BODY_BYTES)
    after = _rings(cell, conditions)
    return carried(before, after, conditions.effort.warmup_requests) if cell.ours else ""


def _visit(cell: Cell, conditions: Conditions, result: Warm) -> None:
    _sequential(cell, conditions, result)
    for connections in CONNECTIONS:
        if connections == EDGE or (cell.full and "warm" in conditions.sections):
            _closed(cell, connections, conditions, result)
    if cell.full and "fresh" in conditions.sections:
        _fresh(cell, conditions, result)
    if cell.full and cell.ours and "open" in conditions.sections:
        _open(cell, conditions, result)


def _sequential(cell: Cell, conditions: Conditions, result: Warm) -> None:
    effort = conditions.effort
    processes, rings = cell.target.processes(), _rings(cell, conditions)
    before = _cpu_ns(processes)
    measured = require_success(
        f"{cell.subject} {cell.label}",
        generators.sequential(cell.target.url, effort.requests, effort.warmup_requests, BODY_BYTES),
    )
    invocations = effort.requests + effort.warmup_requests
    spent = _spent_us(before, _cpu_ns(processes), invocations)
    _note_attachment(cell, rings, conditions, invocations, result)
    samples_us = [sample / 1000 for sample in measured.samples_ns]
    result.samples_us.setdefault((cell.subject, cell.label), []).extend(samples_us)
    for name, share in QUANTILES:
        result.add("warm", cell, f"latency_us_{name}", quantile(samples_us, share))
    _note_cpu(cell, spent, "sequential", result)


def _closed(cell: Cell, connections: int, conditions: Conditions, result: Warm) -> None:
    processes = cell.target.processes()
    counted = [pid for pids in processes.values() for pid in pids] if connections == EDGE else []
    rings, before = _rings(cell, conditions), _cpu_ns(processes)
    with counting(counted) as instructions:
        measured = require_success(
            f"{cell.subject} {cell.label}",
            generators.closed_loop(
                cell.target.url,
                connections,
                conditions.effort.duration_s,
                BODY_BYTES,
                use_wrk=conditions.use_wrk,
            ),
        )
    result.add("warm", cell, f"rps_c{connections}", measured.rps)
    if connections <= EDGE and conditions.use_wrk:
        _note_attachment(cell, rings, conditions, measured.requests, result)
    # wrk has no warm-up of its own, so its requests are all that the processes served meanwhile.
    if connections == EDGE and conditions.use_wrk:
        spent = _spent_us(before, _cpu_ns(processes), measured.requests)
        _note_cpu(cell, spent, f"c{connections}", result)
        if instructions.value is not None:
            each = instructions.value / measured.requests
            result.add("warm", cell, f"instructions_c{connections}", each)


def _fresh(cell: Cell, conditions: Conditions, result: Warm) -> None:
    effort = conditions.effort
    measured = require_success(
        f"{cell.subject} {cell.label}, new connections",
        generators.sequential(
            cell.target.url, effort.requests, effort.warmup_requests, BODY_BYTES, fresh=True
        ),
    )
    samples_us = [sample / 1000 for sample in measured.samples_ns]
    result.add("fresh", cell, "fresh_latency_us_p50", quantile(samples_us, 0.5))
    result.add("fresh", cell, "fresh_latency_us_p99", quantile(samples_us, 0.99))


def _open(cell: Cell, conditions: Conditions, result: Warm) -> None:
    peak_rps = max(result.last(cell, f"rps_c{connections}") for connections in CONNECTIONS)
    measured = require_success(
        f"{cell.subject} {cell.label}, open loop",
        generators.open_loop(
            cell.target.url,
            OPEN_SHARE * peak_rps,
            OPEN_CONNECTIONS,
            conditions.effort.duration_s,
            BODY_BYTES,
        ),
    )
    samples_ms = [sample / 1e6 for sample in measured.samples_ns]
    result.add("open", cell, "open75_latency_ms_p50", quantile(samples_ms, 0.5))
    result.add("open", cell, "open75_latency_ms_p99", quantile(samples_ms, 0.99))
    result.add("open", cell, "open75_rps", OPEN_SHARE * peak_rps)


def _note_attachment(
    cell: Cell, before: attachment.Rings, conditions: Conditions, invocations: int, result: Warm
) -> None:
    if cell.ours:
        seen = carried(before, _rings(cell, conditions), invocations)
        result.carried.setdefault((cell.subject, cell.label), []).append(seen)


def _rings(cell: Cell, conditions: Conditions) -> attachment.Rings:
    if not cell.ours:
        return attachment.Rings()
    return attachment.read(conditions.control_socket, cell.function)


def _cpu_ns(processes: dict[str, list[int]]) -> dict[str, int]:
    return {role: process_cost.cpu_ns(pids) for role, pids in processes.items()}


def _spent_us(before: dict[str, int], after: dict[str, int], invocations: int) -> dict[str, float]:
    return {role: (after[role] - before[role]) / 1000 / max(invocations, 1) for role in before}


def _note_cpu(cell: Cell, spent_us: dict[str, float], load: str, result: Warm) -> None:
    result.add("warm", cell, f"cpu_us_{load}", sum(spent_us.values()))
    if len(spent_us) > 1:
        for role, value in spent_us.items():
            result.add("warm", cell, f"cpu_us_{load}_{role.replace(' ', '_')}", value)
