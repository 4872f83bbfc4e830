"""Goal: other simulators' files are read as they are, and whatever is wrong in one is named by file, row and column."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import TraceError
from inference.traces.azure import read_azure
from inference.traces.csv_file import OWN, SPLITWISE_SIM, VIDUR, CsvColumns, read_csv
from inference.traces.mooncake import read_mooncake
from inference.traces.trace import Trace

HEADER = "arrival_s,prompt_tokens,output_tokens\n"
MOONCAKE = {"timestamp": 27, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("traces") / "trace"


def test_splitwise_sim(tmp_path):
    path = tmp_path / "rr.csv"
    path.write_text(
        "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
        "0,2,0,0.026529150272103667,1,413,413\n"
    )
    trace = read_csv(path, SPLITWISE_SIM)
    row = (trace.arrival_ns, trace.prompt_tokens, trace.output_tokens)
    assert [column.tolist() for column in row] == [[26_529_150], [413], [413]]


def test_vidur_packed(tmp_path):
    path = tmp_path / "conv.csv.gz"
    text = "# a comment\narrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n\n4.314579,396,109\n"
    path.write_bytes(gzip.compress(text.encode()))
    assert read_csv(path, VIDUR).arrival_ns.tolist() == [0, 4_314_579_000]


def test_all_columns_and_time_of_day(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("ms,in,out,who,low\n1700000000000,5,6,3,1\n1700000000250,7,8,0,0\n")
    columns = CsvColumns("ms", "in", "out", model="who", priority="low", unit="ms", from_first=True)
    trace = read_csv(path, columns)
    assert trace.arrival_ns.tolist() == [0, 250_000_000]
    assert trace.model.tolist() == [3, 0]
    assert trace.priority.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("", "header", "found none"),
        ("# only a comment\n", "header", "found none"),
        (HEADER, "rows", "at least one request"),
        ("arrival_s,prompt_tokens\n0,1\n", "column output_tokens", "found 'arrival_s', 'pro"),
        ("arrival_s,prompt_tokens,output_tokens,arrival_s\n", "column arrival_s", "found 2 of it"),
        (HEADER + "0,1,1\n0.5,1\n", "line 3", "expected 3 cells as in the header, found 2"),
        (HEADER + "1,1,1\n0.5,1,1\n", "line 3, column arrival_s", "in order, found '0.5'"),
        (HEADER + "nan,1,1\n", "line 2, column arrival_s", "from 0 on, found 'nan'"),
        (HEADER + "-1,1,1\n", "line 2, column arrival_s", "found '-1'"),
        (HEADER + "inf,1,1\n", "line 2, column arrival_s", "found 'inf'"),
        (HEADER + "1e300,1,1\n", "line 2, column arrival_s", "found '1e300'"),
        (HEADER + "0,NaN,1\n", "line 2, column prompt_tokens", "found 'NaN'"),
        (HEADER + "0,-5,1\n", "line 2, column prompt_tokens", "found '-5'"),
        (HEADER + "0,1_0,1\n", "line 2, column prompt_tokens", "found '1_0'"),
        (HEADER + "0,1,0\n", "line 2, column output_tokens", "whole number from 1"),
        (HEADER + "0,1,2.5\n", "line 2, column output_tokens", "found '2.5'"),
        (HEADER + "0,1,\n", "line 2, column output_tokens", "found ''"),
        (HEADER + f"0,1,{'9' * 99}\n", "line 2, column output_tokens", "…"),
    ],
)
def test_bad_csv_names_row_and_column(tmp_path, text, key, expected):
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(TraceError) as caught:
        read_csv(path)
    assert (caught.value.source, caught.value.key) == (str(path), key)
    assert expected in caught.value.expected


@pytest.mark.parametrize("reader", [read_csv, read_azure, read_mooncake])
def test_a_file_that_cannot_be_read(tmp_path, reader):
    with pytest.raises(TraceError, match=r"absent\.csv: file: expected a readable file: No such"):
        reader(tmp_path / "absent.csv")
    with pytest.raises(
        TraceError, match="/dev/zero: file: expected a readable file: it is a device"
    ):
        reader(Path("/dev/zero"))
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress(HEADER.encode() * 50)[:30])
    with pytest.raises(TraceError, match="file: expected a readable file"):
        reader(broken)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="encoding: expected UTF-8 text, found byte 0xff"):
        reader(binary)


def test_unit_and_index_errors(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("arrival_s,prompt_tokens,output_tokens,model\n0,1,1,-1\n")
    with pytest.raises(TraceError, match="unit: expected one of s, ms, us, ns, found 'min'"):
        read_csv(path, CsvColumns("arrival_s", "prompt_tokens", "output_tokens", unit="min"))
    with pytest.raises(TraceError, match="line 2, column model: expected a whole number from 0"):
        read_csv(path, CsvColumns("arrival_s", "prompt_tokens", "output_tokens", model="model"))


def test_mooncake(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(MOONCAKE) + "\n\n" + json.dumps(MOONCAKE | {"timestamp": 30.5}))
    trace = read_mooncake(path)
    assert trace.arrival_ns.tolist() == [27_000_000, 30_500_000]
    assert trace.prompt_tokens.tolist() == [6758, 6758]
    assert "prefixes left out" in trace.description


@pytest.mark.parametrize(
    ("lines", "key", "expected"),
    [
        ([], "rows", "found none"),
        (["{"], "line 1", "expected a JSON object, found '{'"),
        (["[1]"], "line 1", "found [1]"),
        (["{}"], "line 1, timestamp", "expected the key, found none"),
        ([json.dumps(MOONCAKE | {"input_length": None})], "line 1, input_length", "found None"),
        ([json.dumps(MOONCAKE | {"input_length": True})], "line 1, input_length", "found True"),
        ([json.dumps(MOONCAKE | {"output_length": float("nan")})], "line 1, output_length", "nan"),
        (
            [json.dumps(MOONCAKE), json.dumps(MOONCAKE | {"timestamp": 1})],
            "line 2, timestamp",
            "in order",
        ),
    ],
)
def test_bad_mooncake_names_line_and_key(tmp_path, lines, key, expected):
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(TraceError) as caught:
        read_mooncake(path)
    assert (caught.value.source, caught.value.key) == (str(path), key)
    assert expected in caught.value.expected


requests = st.lists(
    st.tuples(st.integers(0, 10**15), st.integers(1, 10**9), st.integers(1, 10**9)), min_size=1
)


@given(requests)
def test_what_was_written_is_read(scratch, rows):
    """Integers of nanoseconds up to 10^15 are exact in a double, so nothing may be lost on the way."""
    rows = sorted(rows, key=lambda row: row[0])
    lines = [",".join(map(str, row)) for row in rows]
    scratch.write_text("\n".join(["arrival_ns,prompt_tokens,output_tokens", *lines]))
    trace = read_csv(scratch, CsvColumns("arrival_ns", "prompt_tokens", "output_tokens", unit="ns"))
    columns = (trace.arrival_ns, trace.prompt_tokens, trace.output_tokens)
    assert [tuple(row) for row in np.array(columns).T.tolist()] == rows


CELLS = st.one_of(
    st.integers().map(str), st.floats().map(str), st.text(max_size=5), st.just("1"), st.just("")
)
ROWS = st.lists(st.lists(CELLS, max_size=4).map(",".join), max_size=5).map("\n".join)


def outcome(reader, path):
    """The trace, or the error that a user would see; anything else fails the test."""
    try:
        return reader(path)
    except TraceError as error:
        assert error.source == str(path)
        return None


@given(ROWS)
def test_no_text_breaks_a_csv_reader(scratch, rows):
    for reader, header in (
        (lambda path: read_csv(path, OWN), HEADER),
        (read_azure, "TIMESTAMP,ContextTokens,GeneratedTokens\n"),
    ):
        for text in (header + rows, rows):
            scratch.write_text(text, encoding="utf-8", errors="replace")
            trace = outcome(reader, scratch)
            assert trace is None or isinstance(trace, Trace)


@given(st.binary(max_size=60))
def test_no_bytes_break_a_reader(scratch, data):
    for path in (scratch, scratch.with_suffix(".gz")):
        path.write_bytes(data)
        for reader in (read_csv, read_azure, read_mooncake):
            outcome(reader, path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(MOONCAKE, JSON)), max_size=4))
def test_no_json_breaks_the_mooncake_reader(scratch, objects):
    scratch.write_text("\n".join(map(json.dumps, objects)))
    outcome(read_mooncake, scratch)
