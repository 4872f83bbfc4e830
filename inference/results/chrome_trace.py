"""A window of a run as a trace for Perfetto or Chrome's tracing page: a row of slices per replica.

Format: the trace event format's JSON object form. A process is a pool, a thread a replica; slices
are iterations (a run of merged decode iterations is one slice), counters are power and queues.
Requests, if asked for, are nestable async slices of the cluster's process.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inference.errors import InputError
from inference.results.energy import pool_name
from inference.results.run import IterationColumns, RequestColumns, RunResult, SeriesColumns

CLUSTER = 1  # process ids start at 1: viewers take process 0, thread 0 for the idle task
Window = tuple[int, int]
Event = dict[str, Any]


def write_chrome_trace(
    run: RunResult, path: Path, *, window_ns: Window | None = None, requests_max: int = 0
) -> int:
    """Write a window of a run as trace-event JSON.

    Args:
        run: with `iterations`.
        path: of the file, replaced if there.
        window_ns: its start and end in simulated time; all that was kept where None. What
            overlaps it is written whole.
        requests_max: so many requests, the earliest first, get slices of their own.

    Returns:
        How many events were written.

    Raises:
        InputError: the run kept no iterations, the window is empty, or the file cannot be written.
    """
    events = chrome_events(run, window_ns=window_ns, requests_max=requests_max)
    count = 0
    encode = msgspec.json.Encoder().encode
    try:
        with path.open("wb") as file:
            # Event by event: a window of minutes holds millions.
            file.write(b'{"displayTimeUnit":"ms","otherData":')
            file.write(encode({"run": run.name, "seed": str(run.seed)}))
            file.write(b',"traceEvents":[\n')
            for event in events:
                file.write(b",\n" if count else b"")
                file.write(encode(event))
                count += 1
            file.write(b"\n]}\n")
    except OSError as refused:
        raise InputError(str(path), "file", f"expected one to write to: {refused}") from None
    return count


def chrome_events(
    run: RunResult, *, window_ns: Window | None = None, requests_max: int = 0
) -> Iterator[Event]:
    """The events of a window, metadata first, as `write_chrome_trace` writes them.

    Raises:
        InputError: the run kept no iterations, or the window is empty.
    """
    if run.iterations is None:
        expected = "expected a run that kept its iterations; ask the scenario for a trace window"
        raise InputError(run.name, "iterations", expected)
    window = window_ns or (0, run.end_ns)
    if window[0] < 0 or window[1] <= window[0]:
        found = f"{window[0]} to {window[1]}"
        raise InputError(run.name, "window_ns", f"expected a start before its end, found {found}")
    return _events(run, run.iterations, window, requests_max)


def _events(
    run: RunResult, iterations: IterationColumns, window: Window, requests_max: int
) -> Iterator[Event]:
    kept = np.flatnonzero((iterations.end_ns > window[0]) & (iterations.start_ns < window[1]))
    pools = run.replicas.pool
    yield from _names(run, np.unique(iterations.replica[kept]).tolist())
    for row in kept.tolist():
        yield _slice(iterations, row, int(pools[iterations.replica[row]]))
    if run.series is not None:
        yield from _counters(run, run.series, window)
    yield from _requests(run.requests, window, requests_max)


def _names(run: RunResult, replicas: Sequence[int]) -> Iterator[Event]:
    yield _metadata("process_name", CLUSTER, name="cluster")
    yield _metadata("process_sort_index", CLUSTER, sort_index=0)
    for pool in sorted({int(run.replicas.pool[replica]) for replica in replicas}):
        yield _metadata("process_name", _process(pool), name=f"pool {pool_name(run, pool)}")
        yield _metadata("process_sort_index", _process(pool), sort_index=pool + 1)
    for replica in replicas:
        pool = int(run.replicas.pool[replica])
        gpus = f"{run.replicas.tp[replica]} x {run.replicas.gpu[replica]}"
        name = f"replica {replica} ({gpus})"
        yield _metadata("thread_name", _process(pool), replica + 1, name=name)
        yield _metadata("thread_sort_index", _process(pool), replica + 1, sort_index=replica)


def _metadata(kind: str, process: int, thread: int = 0, **args: str | int) -> Event:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": args}


def _slice(iterations: IterationColumns, row: int, pool: int) -> Event:
    prefill_tokens, batch = int(iterations.prefill_tokens[row]), int(iterations.batch[row])
    kind = "decode" if not prefill_tokens else "mixed" if batch else "prefill"
    start_ns, end_ns = int(iterations.start_ns[row]), int(iterations.end_ns[row])
    return {
        "name": kind,
        "cat": "iteration",
        "ph": "X",
        "ts": start_ns / 1000,
        "dur": (end_ns - start_ns) / 1000,
        "pid": _process(pool),
        "tid": int(iterations.replica[row]) + 1,
        "args": {
            "prefill_tokens": prefill_tokens,
            "batch": batch,
            "iterations": int(iterations.iterations[row]),
        },
    }


def _counters(run: RunResult, series: SeriesColumns, window: Window) -> Iterator[Event]:
    first = window[0] // series.period_ns
    last = min(-(-window[1] // series.period_ns), len(series.power_w))
    for row in range(first, last):
        at_us = row * series.period_ns / 1000
        yield _counter("power", at_us, CLUSTER, power_w=float(series.power_w[row]))
        yield _counter(
            "requests",
            at_us,
            CLUSTER,
            running=int(series.running[row]),
            waiting=int(series.waiting[row]),
        )
        for pool in range(series.pool_power_w.shape[1]):
            name = f"power of {pool_name(run, pool)}"
            power_w = float(series.pool_power_w[row, pool])
            yield _counter(name, at_us, CLUSTER, power_w=power_w)


def _counter(name: str, at_us: float, process: int, **values: float) -> Event:
    return {"name": name, "ph": "C", "ts": at_us, "pid": process, "tid": 0, "args": values}


def _requests(requests: RequestColumns, window: Window, requests_max: int) -> Iterator[Event]:
    """Requests in the window: waiting, prefill, wait for decode, decode, inside one slice each."""
    overlaps = (requests.completion_ns > window[0]) & (requests.arrival_ns < window[1])
    for row in np.flatnonzero(overlaps)[:requests_max].tolist():
        times = [
            int(column[row])
            for column in (
                requests.arrival_ns,
                requests.prefill_start_ns,
                requests.first_token_ns,
                requests.decode_start_ns,
                requests.completion_ns,
            )
        ]
        args = {
            "prompt_tokens": int(requests.prompt_tokens[row]),
            "output_tokens": int(requests.output_tokens[row]),
        }
        yield from _async(f"request {row}", row, times[0], times[-1], args)
        names = ("wait", "prefill", "wait for decode", "decode")
        for name, start_ns, end_ns in zip(names, times, times[1:], strict=False):
            if 0 <= start_ns < end_ns:
                yield from _async(name, row, start_ns, end_ns, {})


def _async(
    name: str, request: int, start_ns: int, end_ns: int, args: dict[str, int]
) -> Iterator[Event]:
    same = {"name": name, "cat": "request", "id": request, "pid": CLUSTER, "tid": 0}
    yield {**same, "ph": "b", "ts": start_ns / 1000, "args": args}
    yield {**same, "ph": "e", "ts": end_ns / 1000}


def _process(pool: int) -> int:
    return CLUSTER + 1 + pool
