"""Traces in CSV files of other simulators, or a user's own."""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from inference.errors import TraceError
from inference.traces.table import csv_rows, index, shown, time_ns, tokens
from inference.traces.trace import Trace, trace_of

UNIT_NS = MappingProxyType({"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1})
MODELS_MAX = 1024
PRIORITIES = 2


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """Which column is what.

    Attributes:
        arrival, prompt_tokens, output_tokens: names in the header.
        model, priority: names of columns with the index of a model, and 0 (high) or 1 (low); empty where there are none.
        unit: of arrivals: "s", "ms", "us" or "ns".
        from_first: count arrivals from the first row's, for files with time of day.
    """

    arrival: str
    prompt_tokens: str
    output_tokens: str
    model: str = ""
    priority: str = ""
    unit: str = "s"
    from_first: bool = False


OWN = CsvColumns("arrival_s", "prompt_tokens", "output_tokens")
SPLITWISE_SIM = CsvColumns("arrival_timestamp", "prompt_size", "token_size")
VIDUR = CsvColumns("arrived_at", "num_prefill_tokens", "num_decode_tokens")
FORMATS = MappingProxyType({"own": OWN, "splitwise-sim": SPLITWISE_SIM, "vidur": VIDUR})


def read_csv(path: Path, columns: CsvColumns = OWN) -> Trace:
    """Read a trace from a CSV file with a header (plain or .gz).

    Raises:
        TraceError: the file is missing, empty, not in order of arrival, lacks a column, or holds a value that is none.
    """
    source = str(path)
    if columns.unit not in UNIT_NS:
        expected = f"expected one of {', '.join(UNIT_NS)}, found {columns.unit!r}"
        raise TraceError("argument", "unit", expected)
    unit_ns = UNIT_NS[columns.unit]
    names = [columns.arrival, columns.prompt_tokens, columns.output_tokens]
    names += [name for name in (columns.model, columns.priority) if name]
    keys = [f"column {name}" for name in names]
    table: list[list[int]] = [[] for _ in range(5)]
    arrivals, prompts, outputs, models, priorities = table
    for line, cells in csv_rows(path, names):
        at = f"line {line}, "
        arrival = time_ns(cells[0], unit_ns, source, at + keys[0])
        if arrivals and arrival < arrivals[-1]:
            expected = f"expected times in order, found {shown(cells[0])} after a later one"
            raise TraceError(source, at + keys[0], expected)
        arrivals.append(arrival)
        prompts.append(tokens(cells[1], source, at + keys[1]))
        outputs.append(tokens(cells[2], source, at + keys[2]))
        if columns.model:
            models.append(index(cells[3], source, at + keys[3], MODELS_MAX))
        if columns.priority:
            priorities.append(index(cells[-1], source, at + keys[-1], PRIORITIES))
    if not arrivals:
        raise TraceError(source, "rows", "expected at least one request, found none")
    arrival_ns = np.array(arrivals, dtype=np.int64)
    return trace_of(
        path.name,
        arrival_ns - arrival_ns[0] if columns.from_first else arrival_ns,
        prompts,
        outputs,
        model=models or None,
        priority=priorities or None,
        description=f"read from {path.name}",
    )
