"""What a sweep leaves: one row for each point, as CSV, Parquet and a plot."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from inference.errors import InputError
from inference.models.provenance import Origin
from inference.sweep.grid import Axis, Point, Value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTTED = ("ttft_ms_p99", "tbt_ms_p99", "e2e_ms_p99", "throughput_rps")
SERIES_MAX = 12
"""Lines in one plot: more are no longer told apart."""


@dataclass(frozen=True, slots=True)
class Row:
    """One finished point.

    Attributes:
        point: its keys and values.
        figures: of its run, by flat name; empty where it failed.
        held: whether the scenario's objectives held; None where it has none, or the run failed.
        error: why it failed, in one line; empty where it did not.
    """

    point: Point
    figures: Mapping[str, float]
    held: bool | None = None
    error: str = ""


def columns_of(rows: Sequence[Row]) -> dict[str, list[Value | None]]:
    """Rows as columns: the keys, then verdict, error and origin (a simulation is modelled), then every figure that any row has. NaN becomes None."""
    keys = list(dict.fromkeys(key for row in rows for key, _ in row.point))
    figures = list(dict.fromkeys(name for row in rows for name in row.figures))
    columns: dict[str, list[Value | None]] = {
        key: [dict(row.point).get(key) for row in rows] for key in keys
    }
    columns["held"] = [row.held for row in rows]
    columns["error"] = [row.error or None for row in rows]
    columns["origin"] = [Origin.MODELLED.value for _ in rows]
    for name in figures:
        values = [row.figures.get(name, math.nan) for row in rows]
        columns[name] = [None if math.isnan(value) else value for value in values]
    return columns


def to_csv(rows: Sequence[Row]) -> str:
    """The table as CSV with a header."""
    columns = columns_of(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def write_rows(rows: Sequence[Row], axes: Sequence[Axis], folder: Path) -> tuple[Path, ...]:
    """Write sweep.csv, sweep.parquet and, where a figure can be drawn, sweep.png into a folder, made if need be.

    Raises:
        InputError: the folder cannot be written.
    """
    made = [folder / "sweep.csv", folder / "sweep.parquet"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made[0].write_text(to_csv(rows), encoding="utf-8")
        pq.write_table(_arrow(columns_of(rows)), made[1])
        figure = plot(rows, axes)
        if figure is not None:
            made.append(folder / "sweep.png")
            figure.savefig(made[-1], dpi=120)
    except OSError as error:
        refused = f"expected a folder to write to: {error.strerror}"
        raise InputError(str(folder), "--out", refused) from None
    return tuple(made)


def _arrow(columns: Mapping[str, list[Value | None]]) -> pa.Table:
    arrays = {}
    for name, values in columns.items():
        kinds = {type(value) for value in values if value is not None}
        # A key may be given words and numbers; a column has one type.
        mixed = len(kinds - {int, float}) > 0 and len(kinds) > 1
        if mixed:
            arrays[name] = pa.array([None if value is None else str(value) for value in values])
        elif kinds == {int, float}:
            arrays[name] = pa.array(values, type=pa.float64())
        else:
            arrays[name] = pa.array(values)
    return pa.table(arrays)


def plot(rows: Sequence[Row], axes: Sequence[Axis]) -> "Figure | None":
    """Headline figures over the longest numeric axis, one line for each combination of the others.

    None where no axis has two numbers, or no run gave a figure.
    """
    along = _longest_numeric(axes)
    drawn = [name for name in PLOTTED if any(name in row.figures for row in rows)]
    if along is None or not drawn:
        return None
    lines: dict[str, list[Row]] = {}
    for row in rows:
        others = [f"{key.split('.')[-1]}={value}" for key, value in row.point if key != along.key]
        lines.setdefault(", ".join(others), []).append(row)
    from matplotlib.figure import Figure  # a second of imports that most commands do without

    figure = Figure(figsize=(10, 2.8 * math.ceil(len(drawn) / 2)), layout="constrained")
    figure.suptitle("simulated: all figures are modelled", fontsize="small")
    for place, name in enumerate(drawn):
        panel = figure.add_subplot(math.ceil(len(drawn) / 2), min(2, len(drawn)), place + 1)
        for label, members in list(lines.items())[:SERIES_MAX]:
            at = sorted(((float(dict(row.point)[along.key]), row) for row in members), key=_place)
            places = [x for x, _ in at]
            panel.plot(
                places, [row.figures.get(name, math.nan) for _, row in at], "o-", label=label
            )
        panel.set_xlabel(along.key)
        panel.set_ylabel(name)
        panel.grid(alpha=0.3)
    if len(lines) > 1:
        figure.axes[0].legend(fontsize="small")
    return figure


def _place(drawn: tuple[float, Row]) -> float:
    return drawn[0]


def _longest_numeric(axes: Sequence[Axis]) -> Axis | None:
    numeric = [
        axis
        for axis in axes
        if len(axis.values) > 1 and all(type(value) in (int, float) for value in axis.values)
    ]
    return max(numeric, key=lambda axis: len(axis.values), default=None)
