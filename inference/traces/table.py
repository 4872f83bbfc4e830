"""Tables of text from outside, read row by row, so that an error can name the file, the row and the column."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from inference.errors import TraceError

# Beyond these a value is a slip of units or of columns: no trace lasts 290 years, no prompt has a billion tokens.
SECONDS_MAX = 9.2e9
TOKENS_MAX = 10**9
SHOWN_MAX = 40
FLOAT_EXACT_MAX = 2.0**53


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open a text file, unpacking it if its name ends in .gz.

    Raises:
        TraceError: it is not there, cannot be read, is a device, no UTF-8, or is broken as gzip.
    """
    if path.is_char_device() or path.is_block_device():
        # /dev/zero is one line without an end.
        raise TraceError(str(path), "file", "expected a readable file: it is a device")
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
                yield file
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield file
    except UnicodeDecodeError as error:
        expected = f"expected UTF-8 text, found byte {error.object[error.start]:#04x}"
        raise TraceError(str(path), "encoding", expected) from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise TraceError(str(path), "file", f"expected a readable file: {reason}") from error


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, the cells of `columns`) for each row under the header.

    Lines that start with # before the header are comments; blank lines are skipped.

    Raises:
        TraceError: no header, a column is missing or twice there, or a row is too short or no CSV.
    """
    source = str(path)
    with opened(path) as file:
        reader = csv.reader(file)
        try:
            header = _header(source, reader)
            places = [_place(source, header, column) for column in columns]
            longest = max(places)
            for row in reader:
                if not row:
                    continue
                if len(row) <= longest:
                    expected = f"expected {len(header)} cells as in the header, found {len(row)}"
                    raise TraceError(source, f"line {reader.line_num}", expected)
                yield reader.line_num, [row[place] for place in places]
        except csv.Error as error:
            expected = f"expected comma separated values: {error}"
            raise TraceError(source, f"line {reader.line_num}", expected) from error


def _header(source: str, reader: Iterator[list[str]]) -> list[str]:
    for row in reader:
        if row and not row[0].lstrip().startswith("#"):
            return [cell.strip() for cell in row]
    raise TraceError(source, "header", "expected a line with the columns' names, found none")


def _place(source: str, header: list[str], column: str) -> int:
    found = header.count(column)
    if found == 1:
        return header.index(column)
    if found:
        raise TraceError(source, f"column {column}", f"expected it once, found {found} of it")
    expected = f"expected a column of this name, found {', '.join(map(shown, header))}"
    raise TraceError(source, f"column {column}", expected)


def shown(cell: object) -> str:
    """A value as an error message may carry it: short, on one line."""
    text = repr(cell)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"


def tokens(cell: object, source: str, key: str) -> int:
    """A number of tokens: a whole number from 1 on; "12.0" passes.

    Raises:
        TraceError: it is anything else.
    """
    value = _number(cell)
    if not 1 <= value <= TOKENS_MAX or value != int(value):
        expected = f"expected a whole number from 1 to {TOKENS_MAX}, found {shown(cell)}"
        raise TraceError(source, key, expected)
    return int(value)


def index(cell: object, source: str, key: str, limit: int) -> int:
    """A whole number from 0 up to and without `limit`.

    Raises:
        TraceError: it is anything else.
    """
    value = _number(cell)
    if not 0 <= value < limit or value != int(value):
        expected = f"expected a whole number from 0 to {limit - 1}, found {shown(cell)}"
        raise TraceError(source, key, expected)
    return int(value)


def time_ns(cell: object, unit_ns: int, source: str, key: str) -> int:
    """A time in units of `unit_ns`, rounded to nanoseconds.

    Raises:
        TraceError: it is no finite number from 0 on, or beyond what 64 bits of nanoseconds hold.
    """
    value = _number(cell)
    if not 0 <= value * unit_ns <= SECONDS_MAX * 1e9:
        raise TraceError(source, key, f"expected a time from 0 on, found {shown(cell)}")
    if value * unit_ns > FLOAT_EXACT_MAX:  # time of day since 1970, which a double rounds to 256 ns
        return round(Decimal(str(cell).strip()) * unit_ns)
    return round(value * unit_ns)


def _number(cell: object) -> float:
    """The cell's number; NaN, which no check lets through, where it is none."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return math.nan
    if isinstance(cell, str) and "_" in cell:  # Python's own spelling of 1_000, nobody else's
        return math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan
