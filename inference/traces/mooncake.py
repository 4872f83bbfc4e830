"""Mooncake's open traces (FAST 2025): JSON lines with times in milliseconds and the hashes of 512-token prefix blocks.

No policy here looks at prefixes, so the hashes are left out; a trace's description says so.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from inference.errors import TraceError
from inference.traces.table import opened, shown, time_ns, tokens
from inference.traces.trace import Trace, trace_of

MS_NS = 10**6
KEYS = ("timestamp", "input_length", "output_length")


def read_mooncake(path: Path) -> Trace:
    """Read a Mooncake trace (.jsonl or .jsonl.gz).

    Raises:
        TraceError: the file is missing, empty, not in order of arrival, or a line is no object with the three numbers.
    """
    source = str(path)
    arrivals: list[int] = []
    prompts: list[int] = []
    outputs: list[int] = []
    for number, fields in _objects(path):
        cells = []
        for key in KEYS:
            if key not in fields:
                expected = f"expected the key, found {', '.join(map(shown, fields)) or 'none'}"
                raise TraceError(source, f"line {number}, {key}", expected)
            cells.append(fields[key])
        arrival = time_ns(cells[0], MS_NS, source, f"line {number}, timestamp")
        if arrivals and arrival < arrivals[-1]:
            expected = f"expected times in order, found {shown(cells[0])} after a later one"
            raise TraceError(source, f"line {number}, timestamp", expected)
        arrivals.append(arrival)
        prompts.append(tokens(cells[1], source, f"line {number}, input_length"))
        outputs.append(tokens(cells[2], source, f"line {number}, output_length"))
    if not arrivals:
        raise TraceError(source, "rows", "expected at least one request, found none")
    description = f"Mooncake trace {path.name}; shared prefixes left out"
    return trace_of(path.name, arrivals, prompts, outputs, description=description)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                parsed = json.loads(line)
            except (ValueError, RecursionError) as error:
                expected = f"expected a JSON object, found {shown(line.strip())}"
                raise TraceError(str(path), f"line {number}", expected) from error
            if not isinstance(parsed, dict):
                expected = f"expected a JSON object, found {shown(parsed)}"
                raise TraceError(str(path), f"line {number}", expected)
            yield number, parsed
