"""The tables that come with the product (data/CREDITS.md says from where), read once."""

import csv
import gzip
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from inference.errors import TraceError

DATA = Path(__file__).with_name("data")
SERVICES = ("code", "conv")

Column = npt.NDArray[np.float64]


def checked_service(service: str) -> str:
    """Return the service if Azure's traces have it.

    Raises:
        TraceError: they do not.
    """
    if service not in SERVICES:
        raise TraceError(
            "argument", "service", f"expected one of {', '.join(SERVICES)}, found {service!r}"
        )
    return service


@cache
def numbers(name: str) -> Mapping[str, Column]:
    """A bundled table of numbers, by column; read-only."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    header, *rows = csv.reader(lines)
    table = np.array(rows, dtype=np.float64)
    table.setflags(write=False)
    return MappingProxyType({column: table[:, place] for place, column in enumerate(header)})


@cache
def percentiles_2024(service: str, which: str) -> tuple[Column, Column]:
    """Digitised length distribution: (percentiles from 0 to 100, tokens), not falling.

    Args:
        service: "code" or "conv".
        which: "input" or "output".
    """
    with (DATA / "azure_lengths_2024.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    wanted = [row for row in rows if (row["service"], row["which"]) == (service, which)]
    return (
        np.array([float(row["percentile"]) for row in wanted]),
        np.array([float(row["tokens"]) for row in wanted]),
    )
