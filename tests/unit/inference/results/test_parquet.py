"""Goal: a run comes back from its folder as it was, and no other folder is taken for one."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference.errors import InputError
from inference.results.parquet import read_run, write_run
from inference.results.run import Status
from tests.support.runs import run_of, series_of, with_status


def assert_same(left, right, where="run"):
    assert type(left) is type(right), where
    if dataclasses.is_dataclass(left):
        for field in dataclasses.fields(left):
            name = f"{where}.{field.name}"
            assert_same(getattr(left, field.name), getattr(right, field.name), name)
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype, where
        np.testing.assert_array_equal(left, right, where)
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_same(left[key], right[key], f"{where}[{key}]")
    else:
        assert left == right, where


@pytest.mark.parametrize("count", [0, 1, 10_000])
def test_a_run_comes_back_exactly(tmp_path, count):
    run = run_of(count)
    write_run(run, tmp_path / "out" / "run=1")
    assert_same(run, read_run(tmp_path / "out" / "run=1"))


def test_failed_requests_and_missing_tables_come_back(tmp_path):
    run = with_status(run_of(5), r1=Status.REFUSED, r2=Status.UNFINISHED, r3=Status.SQUASHED)
    run = dataclasses.replace(run, series=None, iterations=None, active_tokens_ns={})
    write_run(run, tmp_path)
    assert_same(run, read_run(tmp_path))
    assert not (tmp_path / "series.parquet").exists()


def test_a_series_without_rows_or_pools_comes_back(tmp_path):
    series = dataclasses.replace(
        series_of(0), pool_power_w=np.zeros((0, 0)), pool_gpus=np.zeros((0, 0), dtype=np.int64)
    )
    run = dataclasses.replace(run_of(1), series=series, pools=())
    write_run(run, tmp_path)
    assert_same(run, read_run(tmp_path))


def test_values_at_the_ends_of_their_types_come_back(tmp_path):
    run = run_of(2)
    columns = dataclasses.replace(
        run.requests,
        arrival_ns=np.array([0, 2**63 - 1]),
        energy_j=np.array([5e-324, 1.7976931348623157e308]),
    )
    run = dataclasses.replace(run, requests=columns, name='a "name"\n\x00 ключ', seed=2**63)
    write_run(run, tmp_path)
    assert_same(run, read_run(tmp_path))


def test_a_run_replaces_the_one_before(tmp_path):
    write_run(run_of(3), tmp_path)
    run = dataclasses.replace(run_of(2, seed=9), series=None)
    write_run(run, tmp_path)
    assert_same(run, read_run(tmp_path))


def test_others_can_read_the_tables(tmp_path):
    write_run(run_of(4), tmp_path)
    table = pq.read_table(tmp_path / "series.parquet")
    assert {"power_w", "pool_power_w_0", "pool_power_w_1", "pool_gpus_1"} <= set(table.schema.names)


def test_a_folder_with_other_files_is_not_written_to(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        write_run(run_of(1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder: expected one to write to"):
        write_run(run_of(1), tmp_path / "file")


def test_an_unknown_folder_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"run\.json: file: expected a folder"):
        read_run(tmp_path / "nothing")


def damage(folder, **changes):
    manifest = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**manifest, **changes}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        (b'{"format": "junctiond-run"', "expected JSON"),
        (b"[]", "Expected `object`"),
        (b'{"version": 1}', "missing required field `format`"),
        (b'{"format": "vidur", "version": 1}', "expected junctiond-run version 1, found vidur 1"),
        (b'{"format": "junctiond-run", "version": 2}', "version 1, found junctiond-run 2"),
        (b'{"format": "junctiond-run", "version": 1}', "missing required field `name`"),
    ],
)
def test_a_foreign_manifest_is_told(tmp_path, content, message):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path)


def test_a_wrong_value_is_told_with_its_place(tmp_path):
    write_run(run_of(1), tmp_path)
    damage(tmp_path, seed="one")
    with pytest.raises(InputError, match=r"run\.json: \$\.seed: Expected `int`, got `str`"):
        read_run(tmp_path)


def test_an_unknown_key_is_told(tmp_path):
    write_run(run_of(1), tmp_path)
    damage(tmp_path, colour="blue")
    with pytest.raises(InputError, match="unknown field `colour`"):
        read_run(tmp_path)


def test_a_missing_table_is_told(tmp_path):
    write_run(run_of(1), tmp_path)
    (tmp_path / "requests.parquet").unlink()
    with pytest.raises(InputError, match=r"requests\.parquet: file: expected a Parquet file"):
        read_run(tmp_path)


def test_a_run_without_requests_table_is_told(tmp_path):
    write_run(run_of(1), tmp_path)
    tables = json.loads((tmp_path / "run.json").read_text())["tables"]
    del tables["requests"]
    damage(tmp_path, tables=tables)
    with pytest.raises(InputError, match="expected requests and replicas"):
        read_run(tmp_path)


@pytest.mark.parametrize("table", ["requests", "replicas", "series", "iterations"])
def test_every_damaged_byte_is_noticed(tmp_path, table):
    write_run(run_of(3), tmp_path)
    path = tmp_path / f"{table}.parquet"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match=f"{table}.parquet: file: .* checksum differs"):
        read_run(tmp_path)


def test_the_table_of_another_run_is_noticed(tmp_path):
    write_run(run_of(3, seed=1), tmp_path / "a")
    write_run(run_of(3, seed=2), tmp_path / "b")
    (tmp_path / "b" / "requests.parquet").rename(tmp_path / "a" / "requests.parquet")
    with pytest.raises(InputError, match="checksum differs"):
        read_run(tmp_path / "a")


def rewrite(folder, name, table):
    """Replace a table and make the manifest believe in it."""
    from inference.results import parquet

    path = folder / f"{name}.parquet"
    pq.write_table(table, path)
    tables = json.loads((folder / "run.json").read_text())["tables"]
    tables[name] = {"rows": tables[name]["rows"], "sha256": parquet._sha256(path)}
    damage(folder, tables=tables)


def test_columns_are_checked(tmp_path):
    write_run(run_of(3), tmp_path)
    good = pq.read_table(tmp_path / "requests.parquet")
    place = good.schema.names.index("arrival_ns")

    rewrite(tmp_path, "requests", good.drop_columns(["arrival_ns"]))
    with pytest.raises(InputError, match="arrival_ns: expected a column of int64, found none"):
        read_run(tmp_path)
    text = good.set_column(place, "arrival_ns", pa.array(["a", "b", "c"]))
    rewrite(tmp_path, "requests", text)
    with pytest.raises(InputError, match="expected a column of int64, found string"):
        read_run(tmp_path)
    gap = good.set_column(place, "arrival_ns", pa.array([1, None, 3], type=pa.int64()))
    rewrite(tmp_path, "requests", gap)
    with pytest.raises(InputError, match="found null values"):
        read_run(tmp_path)
    rewrite(tmp_path, "requests", good.slice(1))
    with pytest.raises(InputError, match="rows: expected 3, found 2"):
        read_run(tmp_path)
