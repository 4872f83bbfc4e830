"""Profiles: CSV files that say first where their figures come from.

The header is TOML in comment lines, so that any reader of CSV can skip it:

    # origin = "measured"
    # by = "Splitwise authors"
    # on = "DGX-A100, 8 GPUs"
    # when = "2023"
    # source = "splitwise-sim, data/perf_model.csv"
    # licence = "MIT"
    # note = "medians of 5 to 15 repeats"
    batch_tokens,prompt_ms
    128,65.3
"""

import csv
import gzip
import itertools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from inference.errors import ProfileError
from inference.models.provenance import Origin, Provenance

Float64 = npt.NDArray[np.float64]

_KEYS = ("origin", "by", "on", "when", "source", "licence", "note")

# Shipped with the product; every file in it has a header as above.
DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A table of figures and where they come from.

    Attributes:
        name: of its file.
        provenance: of all its figures; `source` ends with the licence.
        numbers: numeric columns, float64, read-only, all finite.
        labels: text columns.
    """

    name: str
    provenance: Provenance
    numbers: Mapping[str, Float64]
    labels: Mapping[str, tuple[str, ...]]


def read_profile(
    path: Path,
    numbers: Sequence[str],
    labels: Sequence[str] = (),
    ascending: Sequence[str] = (),
) -> Profile:
    """Read a profile, plain or gzipped, that has exactly these columns.

    Args:
        path: the file; gzipped where its name ends so.
        numbers: names of the numeric columns.
        labels: names of the text columns.
        ascending: columns, most significant first, by which rows must be strictly ascending.

    Raises:
        ProfileError: no such file, header incomplete, column missing or unknown, value no finite number, no rows, or
            rows out of order.
    """
    lines = _lines(path)
    header = [line for line in lines if line.startswith("#")]
    provenance = _header(path.name, header)
    rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    columns = rows[0] if rows else []
    wanted = [*labels, *numbers]
    for column in wanted:
        if column not in columns:
            raise ProfileError(path.name, column, f"expected this column, found {columns}")
    for column in columns:
        if column not in wanted:
            raise ProfileError(path.name, column, f"unknown column; expected only {wanted}")
    if len(rows) < 2:
        raise ProfileError(path.name, "rows", "expected at least one row of figures, found none")
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(columns):
            raise ProfileError(
                path.name, f"row {number}", f"expected {len(columns)} fields, found {len(row)}"
            )
    texts = {name: tuple(row[columns.index(name)] for row in rows[1:]) for name in columns}
    figures = {name: _numbers(path.name, name, texts[name]) for name in numbers}
    _check_order(path.name, ascending, figures, texts)
    return Profile(
        path.name,
        provenance,
        MappingProxyType(figures),
        MappingProxyType({name: texts[name] for name in labels}),
    )


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except FileNotFoundError:
        raise ProfileError(path.name, "file", "expected a profile, found no such file") from None
    except (OSError, EOFError, UnicodeDecodeError) as fault:
        raise ProfileError(path.name, "file", f"expected readable UTF-8 text: {fault}") from fault
    return [line for line in text.splitlines() if line.strip()]


def _header(name: str, header: Sequence[str]) -> Provenance:
    try:
        values = tomllib.loads("\n".join(line[1:].strip() for line in header))
    except tomllib.TOMLDecodeError as fault:
        raise ProfileError(name, "header", f"expected TOML in comment lines: {fault}") from fault
    return provenance_of(name, "header", values)


def provenance_of(name: str, place: str, values: Mapping[str, object]) -> Provenance:
    """A profile's provenance from the keys origin, by, on, when, source, licence and note.

    Raises:
        ProfileError: a key is missing, unknown or no text, or the origin is none of `Origin`.
    """
    texts: dict[str, str] = {}
    for key in _KEYS:
        if key not in values:
            raise ProfileError(name, f"{place} {key}", f'expected a line like {key} = "…"')
        value = values[key]
        if not isinstance(value, str):
            raise ProfileError(name, f"{place} {key}", f"expected a text, found {value!r}")
        texts[key] = value
    unknown = sorted(set(values) - set(_KEYS))
    if unknown:
        raise ProfileError(name, f"{place} {unknown[0]}", f"unknown; expected only {_KEYS}")
    try:
        origin = Origin(texts["origin"])
    except ValueError:
        known = [origin.value for origin in Origin]
        expected = f"expected one of {known}, found {texts['origin']!r}"
        raise ProfileError(name, f"{place} origin", expected) from None
    source = f"{texts['source']} ({texts['licence']})"
    return Provenance(origin, texts["by"], texts["on"], texts["when"], source, texts["note"])


def _numbers(name: str, column: str, texts: Sequence[str]) -> Float64:
    values = np.empty(len(texts), dtype=np.float64)
    for row, text in enumerate(texts):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            expected = f"expected a finite number, found {text!r}"
            raise ProfileError(name, f"{column} of row {row + 1}", expected)
        values[row] = value
    values.flags.writeable = False
    return values


def _check_order(
    name: str,
    ascending: Sequence[str],
    figures: Mapping[str, Float64],
    texts: Mapping[str, tuple[str, ...]],
) -> None:
    if not ascending:
        return
    columns = [figures[key].tolist() if key in figures else list(texts[key]) for key in ascending]
    keys = list(zip(*columns, strict=True))
    for row, (before, after) in enumerate(itertools.pairwise(keys), 2):
        if not before < after:
            raise ProfileError(
                name,
                f"{', '.join(ascending)} of row {row}",
                f"expected rows strictly ascending, found {after} after {before}",
            )
