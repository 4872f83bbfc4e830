"""Goal: a sweep's rows come back from its files as they were, failed points included."""

import csv
import io
import math

import pyarrow.parquet as pq
import pytest

from inference.errors import InputError
from inference.sweep.grid import Axis, points_of
from inference.sweep.rows import Row, columns_of, plot, to_csv, write_rows

AXES = [Axis("routing.policy", ("jsq", "splitwise")), Axis("trace.rate_per_s", (30, 40.5))]
POINTS = points_of(AXES)
ROWS = [
    Row(POINTS[0], {"ttft_ms_p99": 10.0, "goodput_rps": math.nan}, held=True),
    Row(POINTS[1], {"ttft_ms_p99": 20.0, "extra": 1.0}, held=False),
    Row(POINTS[2], {}, error="policy: unknown"),
]


def test_columns_are_keys_then_verdicts_then_figures():
    columns = columns_of(ROWS)
    keys = ["routing.policy", "trace.rate_per_s", "held", "error", "origin"]
    assert list(columns) == [*keys, "ttft_ms_p99", "goodput_rps", "extra"]
    assert columns["trace.rate_per_s"] == [30, 40.5, 30]
    assert columns["goodput_rps"] == [None, None, None]
    assert columns["held"] == [True, False, None]
    assert set(columns["origin"]) == {"modelled"}


def test_csv_has_a_row_for_each_point():
    rows = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert [row["routing.policy"] for row in rows] == ["jsq", "jsq", "splitwise"]
    assert rows[2]["error"] == "policy: unknown"


def test_files_are_written_and_read_back(tmp_path):
    made = write_rows(ROWS, AXES, tmp_path / "new" / "folder")
    assert [path.name for path in made] == ["sweep.csv", "sweep.parquet", "sweep.png"]
    table = pq.read_table(made[1]).to_pydict()
    assert table["trace.rate_per_s"] == [30.0, 40.5, 30.0]
    assert table["ttft_ms_p99"] == [10.0, 20.0, None]


def test_a_key_of_words_and_numbers_becomes_words(tmp_path):
    rows = [Row((("a", "auto"),), {}), Row((("a", 3),), {})]
    table = pq.read_table(write_rows(rows, [], tmp_path)[1]).to_pydict()
    assert table["a"] == ["auto", "3"]


def test_nothing_is_drawn_without_a_numeric_axis_or_figures():
    assert plot(ROWS, AXES[:1]) is None
    assert plot([Row(POINTS[0], {})], AXES) is None
    figure = plot(ROWS, AXES)
    assert figure is not None
    assert len(figure.axes) == 1


def test_no_folder_to_write_to_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder to write to"):
        write_rows(ROWS, AXES, tmp_path / "file" / "inner")


def test_no_rows_make_an_empty_table(tmp_path):
    assert [path.name for path in write_rows([], AXES, tmp_path)] == ["sweep.csv", "sweep.parquet"]
