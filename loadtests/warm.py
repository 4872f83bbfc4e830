"""Warm invocations: latency one after the other, throughput in closed loops, CPU time, new connections, an open loop."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loadtests import attachment, generators, neighbours, process_cost, rounds
from loadtests.attachment import carried
from loadtests.effort import BODY_BYTES, CONNECTIONS, EDGE, Effort
from loadtests.failure import Attempts, Place
from loadtests.generators import require_success
from loadtests.instructions import counting
from loadtests.machine import CpuTimes
from loadtests.mark import DISTURBED
from loadtests.placement import Placement, clients
from loadtests.quantiles import quantile
from loadtests.quiet import Quiet
from loadtests.stand import Cell
from loadtests.warm_figures import WarmFigures, distinct

Step = Callable[[Cell, "Conditions", WarmFigures], None]
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
WARM_UP_TRIES = 5
OPEN_SHARE = 0.75
OPEN_CONNECTIONS = 64
"""Enough that a late answer does not hold the next request back."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all visits share."""

    sections: Sequence[str]
    effort: Effort
    placement: Placement
    use_wrk: bool
    control_socket: Path


def measure(
    cells: Sequence[Cell],
    conditions: Conditions,
    seed: int,
    *,
    result: WarmFigures,
    quiet: Quiet,
    attempts: Attempts,
    after_round: Callable[[], None],
) -> None:
    """Measures all cells, interleaved, into `result`.

    A step that fails is noted and has no figure in that round: one over failures would flatter whoever fails fast.
    """
    with clients(conditions.placement):
        result.cells = _warmed_up(cells, conditions, attempts)
        plan = rounds.interleave(result.cells, conditions.effort.rounds, seed)
        for number, order in enumerate(plan, start=1):
            letter = conditions.placement.letter
            attempts.say(f"{letter}: round {number} of {len(plan)}, {len(order)} cells")
            result.number = number
            for cell in order:
                quiet.wait()
                visit = partial(_visit, cell, conditions, result, attempts)
                attempts.run(place_of(cell, conditions.placement), "visit", visit, number)
            after_round()


def _warmed_up(cells: Sequence[Cell], conditions: Conditions, attempts: Attempts) -> list[Cell]:
    """Warms all cells up; returns those that answer, without those that would measure the same twice."""
    seen: dict[int, str] = {}

    def warm_up(cell: Cell) -> None:
        seen[id(cell)] = _warm_up(cell, conditions, attempts.say)

    for cell in cells:
        attempts.run(place_of(cell, conditions.placement), "warm-up", partial(warm_up, cell))
    kept, alone = distinct([cell for cell in cells if id(cell) in seen], seen)
    if alone:
        attempts.say(f"rings are on and not used by {', '.join(alone)}")
    return kept


def place_of(cell: Cell, placement: Placement) -> Place:
    """Where a cell's marks belong."""
    return Place("warm", cell.subject, cell.label, str(placement))


@contextmanager
def _watched(cell: Cell, result: WarmFigures, attempts: Attempts) -> Iterator[None]:
    """Notes who else used the machine during a visit."""
    own = {pid for pids in cell.target.processes().values() for pid in pids}
    before = CpuTimes.now()
    with neighbours.watching(own) as watch:
        yield
    steal, _ = CpuTimes.now().shares_since(before)
    result.steal.append((cell.subject, cell.label, round(steal, 4)))
    if watch.found:
        words = ", ".join(map(str, watch.found))
        attempts.note(DISTURBED, place_of(cell, result.placement), "visit", words, result.number)


def _warm_up(cell: Cell, conditions: Conditions, say: Callable[[str], None]) -> str:
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


def _visit(cell: Cell, conditions: Conditions, result: WarmFigures, attempts: Attempts) -> None:
    """Runs the steps of a cell until one fails; one that failed in earlier rounds as well is left out from then on."""
    place = place_of(cell, conditions.placement)
    with _watched(cell, result, attempts):
        for name, step in steps(cell, conditions.sections):
            if attempts.given_up(place, name):
                continue
            do = partial(step, cell, conditions, result)
            if not attempts.run(place, name, do, result.number):
                return


def steps(cell: Cell, sections: Sequence[str]) -> list[tuple[str, Step]]:
    """What is measured of a cell in one visit, by name."""
    made: list[tuple[str, Step]] = [("one after the other", _sequential)]
    made += [
        (f"closed loop with {connections}", partial(_closed, connections))
        for connections in CONNECTIONS
        if connections == EDGE or (cell.full and "warm" in sections)
    ]
    if cell.full and "fresh" in sections:
        made.append(("new connections", _fresh))
    if cell.full and "open" in sections:
        made.append(("open loop", _open))
    return made


def _sequential(cell: Cell, conditions: Conditions, result: WarmFigures) -> None:
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


def _closed(connections: int, cell: Cell, conditions: Conditions, result: WarmFigures) -> None:
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


def _fresh(cell: Cell, conditions: Conditions, result: WarmFigures) -> None:
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


def _open(cell: Cell, conditions: Conditions, result: WarmFigures) -> None:
    peak_rps = max(result.present(cell, f"rps_c{connections}") for connections in CONNECTIONS)
    if peak_rps == 0:  # its closed loops failed, and that is noted
        return
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
    cell: Cell,
    before: attachment.Rings,
    conditions: Conditions,
    invocations: int,
    result: WarmFigures,
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


def _note_cpu(cell: Cell, spent_us: dict[str, float], load: str, result: WarmFigures) -> None:
    result.add("warm", cell, f"cpu_us_{load}", sum(spent_us.values()))
    if len(spent_us) > 1:
        for role, value in spent_us.items():
            result.add("warm", cell, f"cpu_us_{load}_{role.replace(' ', '_')}", value)
