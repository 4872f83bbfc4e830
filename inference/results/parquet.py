"""A run as a folder that others read too: a Parquet file for each table, and run.json for the rest.

run.json is written last and holds the checksum of every table, so a folder whose writing was cut
short, or that holds tables of two runs, is never taken for a run.
"""

import dataclasses
import hashlib
import itertools
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inference.errors import InputError
from inference.models.provenance import Provenance
from inference.results.run import (
    Float64,
    Int64,
    IterationColumns,
    ReplicaColumns,
    RequestColumns,
    RunResult,
    SeriesColumns,
)

FORMAT = "junctiond-run"
VERSION = 1
MANIFEST = "run.json"
TABLES = ("requests", "replicas", "series", "iterations")

_KINDS: dict[object, pa.DataType] = {
    Int64: pa.int64(),
    Float64: pa.float64(),
    tuple[str, ...]: pa.string(),
}
_SCALARS = ("period_ns",)  # not columns: kept in the manifest
_BY_POOL = ("pool_power_w", "pool_gpus")  # two dimensions: a column NAME_k for each pool k

_Columns = TypeVar("_Columns", RequestColumns, ReplicaColumns, SeriesColumns, IterationColumns)


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    rows: int
    sha256: str


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """run.json: everything of a run that is no table, and what its tables must be."""

    format: str
    version: int
    name: str
    seed: int
    end_ns: int
    events: int
    cpu_s: float
    wall_s: float
    pools: tuple[str, ...]
    models: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: dict[str, str]
    provenance: dict[str, Provenance]
    active_tokens_ns: dict[int, list[int]]
    series_period_ns: int | None
    tables: dict[str, _Table]


class _Head(msgspec.Struct):
    """What every version of run.json begins with."""

    format: str
    version: int


def write_run(run: RunResult, folder: Path) -> None:
    """Write a run into a folder, made if need be; a run that is there is replaced.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    try:
        _clear(folder)
        tables = {}
        for table in TABLES:
            columns = getattr(run, table)
            if columns is not None:
                path = folder / f"{table}.parquet"
                tables[table] = _Table(_write_table(columns, path), _sha256(path))
        encoded = msgspec.json.format(msgspec.json.encode(_manifest(run, tables)), indent=1)
        (folder / MANIFEST).write_bytes(encoded + b"\n")
    except OSError as refused:
        raise InputError(str(folder), "folder", f"expected one to write to: {refused}") from None


def read_run(folder: Path) -> RunResult:
    """Read a run that `write_run` wrote.

    Raises:
        InputError: the folder is none of ours, of another version, or damaged; it says which file.
    """
    manifest = _read_manifest(folder / MANIFEST)
    requests = _read_table(RequestColumns, "requests", folder, manifest)
    replicas = _read_table(ReplicaColumns, "replicas", folder, manifest)
    if requests is None or replicas is None:
        expected = "expected requests and replicas in every run"
        raise InputError(str(folder / MANIFEST), "tables", expected)
    return RunResult(
        name=manifest.name,
        seed=manifest.seed,
        end_ns=manifest.end_ns,
        requests=requests,
        replicas=replicas,
        series=_read_table(SeriesColumns, "series", folder, manifest),
        iterations=_read_table(IterationColumns, "iterations", folder, manifest),
        active_tokens_ns={
            pool: np.array(spent, dtype=np.int64)
            for pool, spent in manifest.active_tokens_ns.items()
        },
        provenance=manifest.provenance,
        warnings=manifest.warnings,
        pools=manifest.pools,
        models=manifest.models,
        events=manifest.events,
        cpu_s=manifest.cpu_s,
        wall_s=manifest.wall_s,
        facts=manifest.facts,
    )


def _clear(folder: Path) -> None:
    """Make the folder ready, without its old run; files that are not ours stop it."""
    if not folder.exists():
        folder.mkdir(parents=True)
        return
    names = {path.name for path in folder.iterdir()}
    ours = {MANIFEST, *(f"{table}.parquet" for table in TABLES)}
    if MANIFEST not in names and not names <= ours:
        expected = f"expected a new or empty folder, or one with {MANIFEST}"
        raise InputError(str(folder), "folder", expected)
    # The manifest goes first: without it what is left is no run.
    for name in (MANIFEST, *sorted(ours - {MANIFEST})):
        (folder / name).unlink(missing_ok=True)


def _manifest(run: RunResult, tables: dict[str, _Table]) -> _Manifest:
    return _Manifest(
        format=FORMAT,
        version=VERSION,
        name=run.name,
        seed=run.seed,
        end_ns=run.end_ns,
        events=run.events,
        cpu_s=run.cpu_s,
        wall_s=run.wall_s,
        pools=run.pools,
        models=run.models,
        warnings=run.warnings,
        facts=dict(run.facts),
        provenance=dict(run.provenance),
        active_tokens_ns={
            int(pool): [int(ns) for ns in spent] for pool, spent in run.active_tokens_ns.items()
        },
        series_period_ns=run.series.period_ns if run.series else None,
        tables=tables,
    )


def _read_manifest(path: Path) -> _Manifest:
    try:
        raw = path.read_bytes()
    except OSError as refused:
        expected = f"expected a folder that a run was written to: {refused.strerror}"
        raise InputError(str(path), "file", expected) from None
    try:
        head = msgspec.json.decode(raw, type=_Head)
        if head.format != FORMAT or head.version != VERSION:
            expected = f"expected {FORMAT} version {VERSION}, found {head.format} {head.version}"
            raise InputError(str(path), "format", expected)
        return msgspec.json.decode(raw, type=_Manifest)
    except msgspec.ValidationError as wrong:
        message, _, key = str(wrong).partition(" - at ")
        raise InputError(str(path), key.strip("`") or "file", message) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise InputError(str(path), "file", f"expected JSON: {wrong}") from None


def _write_table(columns: Any, path: Path) -> int:
    arrays: dict[str, pa.Array] = {}
    for name, kind in _column_kinds(type(columns)).items():
        values = getattr(columns, name)
        if name in _BY_POOL:
            for pool in range(values.shape[1]):
                arrays[f"{name}_{pool}"] = pa.array(values[:, pool], type=kind)
        else:
            arrays[name] = pa.array(values, type=kind)
    table = pa.table(arrays)
    pq.write_table(table, path, compression="zstd")
    return int(table.num_rows)


def _read_table(
    of: type[_Columns], name: str, folder: Path, manifest: _Manifest
) -> _Columns | None:
    expected = manifest.tables.get(name)
    if expected is None:
        return None
    path = folder / f"{name}.parquet"
    try:
        if _sha256(path) != expected.sha256:
            wrong = f"expected the file that {MANIFEST} was written with; its checksum differs"
            raise InputError(str(path), "file", wrong)
        # Read as one file: the path of a folder named a=b would become a column of its own.
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as refused:
        raise InputError(str(path), "file", f"expected a Parquet file: {refused}") from None
    if table.num_rows != expected.rows:
        wrong = f"expected {expected.rows}, found {table.num_rows}"
        raise InputError(str(path), "rows", wrong)
    values = {
        column: _read_column(table, column, kind, path)
        for column, kind in _column_kinds(of).items()
    }
    if of is SeriesColumns:
        values["period_ns"] = manifest.series_period_ns
    return of(**values)


def _read_column(table: pa.Table, name: str, kind: pa.DataType, path: Path) -> Any:
    if name in _BY_POOL:
        names = list(
            itertools.takewhile(
                table.schema.names.__contains__, (f"{name}_{pool}" for pool in itertools.count())
            )
        )
        if not names:
            dtype = np.int64 if kind == pa.int64() else np.float64
            return np.zeros((table.num_rows, 0), dtype=dtype)
        return np.stack([_read_column(table, one, kind, path) for one in names], axis=1)
    if name not in table.schema.names:
        raise InputError(str(path), name, f"expected a column of {kind}, found none")
    column = table.column(name)
    if column.type != kind or column.null_count:
        found = "null values" if column.type == kind else str(column.type)
        raise InputError(str(path), name, f"expected a column of {kind}, found {found}")
    if kind == pa.string():
        return tuple(column.to_pylist())
    return column.to_numpy()


def _column_kinds(of: type) -> dict[str, pa.DataType]:
    hints = get_type_hints(of)
    return {
        field.name: _KINDS[hints[field.name]]
        for field in dataclasses.fields(of)
        if field.name not in _SCALARS
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
