"""Goal: a trace that viewers open: known phases, microseconds, every process and thread named."""

import dataclasses
import json

import numpy as np
import pytest

from inference.errors import InputError
from inference.results.chrome_trace import chrome_events, write_chrome_trace
from tests.support.runs import MS, S, one_request, run_of


def events_of(run, **options):
    return list(chrome_events(run, **options))


def slices(events):
    return [event for event in events if event["ph"] == "X"]


def test_the_file_is_what_viewers_read(tmp_path):
    run = run_of(20, name='a "quoted" <name>')
    count = write_chrome_trace(run, tmp_path / "trace.json", requests_max=5)
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["displayTimeUnit"] == "ms"
    assert trace["otherData"] == {"run": 'a "quoted" <name>', "seed": "1"}
    assert len(trace["traceEvents"]) == count
    for event in trace["traceEvents"]:
        assert event["ph"] in {"M", "X", "C", "b", "e"}
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert event["pid"] > 0
        if event["ph"] != "M":
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] > 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())


def test_slices_tell_the_kind_of_iteration():
    told = slices(events_of(run_of(1), window_ns=(0, S)))
    assert [event["name"] for event in told] == ["prefill", "decode", "mixed", "prefill"]
    assert told[1] == {
        "name": "decode",
        "cat": "iteration",
        "ph": "X",
        "ts": 100_000.0,
        "dur": 300_000.0,
        "pid": 3,
        "tid": 2,
        "args": {"prefill_tokens": 0, "batch": 8, "iterations": 10},
    }


def test_nanoseconds_survive():
    assert slices(events_of(run_of(1), window_ns=(0, S)))[-1]["ts"] == 500_000.001


@pytest.mark.parametrize(
    ("window_ms", "kept"),
    [((0, 90), 1), ((90, 100), 0), ((100, 101), 1), ((399, 401), 2), ((400, 601), 2)],
)
def test_a_window_keeps_what_overlaps_it(window_ms, kept):
    window_ns = (window_ms[0] * MS, window_ms[1] * MS)
    assert len(slices(events_of(run_of(1), window_ns=window_ns))) == kept


def test_every_slice_has_a_named_process_and_thread():
    events = events_of(run_of(3), window_ns=(0, S))
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    processes = {e["pid"] for e in events if e["name"] == "process_name"}
    for event in slices(events):
        assert (event["pid"], event["tid"]) in named
        assert event["pid"] in processes
    names = {e["args"]["name"] for e in events if e["ph"] == "M" and "name" in e["args"]}
    assert {"cluster", "pool prefill", "pool decode", "replica 1 (8 x a100-80gb)"} <= names


def test_counters_are_of_the_window():
    run = run_of(200)
    assert run.series is not None
    counters = [e for e in events_of(run, window_ns=(2 * S, 4 * S)) if e["ph"] == "C"]
    assert {e["ts"] for e in counters} == {2e6, 3e6}
    power = [e["args"]["power_w"] for e in counters if e["name"] == "power"]
    assert power == run.series.power_w[2:4].tolist()
    assert {e["name"] for e in counters} >= {"requests", "power of prefill", "power of decode"}


def test_requests_are_nested_in_order_and_bounded():
    run = run_of(50)
    events = [e for e in events_of(run, requests_max=7) if e.get("cat") == "request"]
    assert len({e["id"] for e in events}) == 7
    assert sum(e["ph"] == "b" for e in events) == sum(e["ph"] == "e" for e in events)
    for request in range(7):
        mine = [e for e in events if e["id"] == request]
        outer, inner = mine[:2], mine[2:]
        assert outer[0]["name"] == f"request {request}"
        for begin, end in zip(inner[::2], inner[1::2], strict=True):
            assert outer[0]["ts"] <= begin["ts"] < end["ts"] <= outer[1]["ts"]


def test_a_series_is_not_needed():
    run = dataclasses.replace(run_of(1), series=None)
    assert not [e for e in events_of(run) if e["ph"] == "C"]


def test_a_window_without_iterations_has_names_only():
    run = run_of(1)
    assert run.iterations is not None
    empty = type(run.iterations)(*[np.zeros(0, dtype=np.int64)] * 6)
    events = events_of(dataclasses.replace(run, iterations=empty, series=None))
    assert {e["ph"] for e in events} == {"M"}


def test_a_run_that_kept_none_says_how_to_keep_them(tmp_path):
    with pytest.raises(InputError, match="one: iterations: expected a run that kept"):
        write_chrome_trace(one_request(), tmp_path / "trace.json")
    assert not (tmp_path / "trace.json").exists()


@pytest.mark.parametrize("window_ns", [(5, 5), (6, 5), (-1, 5)])
def test_an_empty_window_is_an_error(window_ns):
    with pytest.raises(InputError, match="expected a start before its end"):
        chrome_events(run_of(1), window_ns=window_ns)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(InputError, match="file: expected one to write to"):
        write_chrome_trace(run_of(1), tmp_path / "no" / "trace.json")
