"""Azure's LLM inference traces of 2023: one hour of a coding and of a conversation service (Splitwise, section 3).

Conversation has 19,366 requests in 3,502 s, code 8,819 in 3,436 s. Lengths are of the two services' own tokenisers.
"""

from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np

from inference.errors import TraceError
from inference.traces.bundled import checked_service, numbers
from inference.traces.table import csv_rows, shown, tokens
from inference.traces.trace import Trace, trace_of

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
FRACTION_DIGITS = 9


def azure_2023(service: str) -> Trace:
    """The trace that comes with the product, arrivals as recorded (to the microsecond), from 0.

    Args:
        service: "code" or "conv".

    Raises:
        TraceError: there is no such service.
    """
    return _azure_2023(checked_service(service))


@cache
def _azure_2023(service: str) -> Trace:
    table = numbers(f"azure_{service}_2023.csv.gz")
    return trace_of(
        f"azure-{service}-2023",
        np.cumsum(table["gap_us"].astype(np.int64)) * 1000,
        table["prompt_tokens"],
        table["output_tokens"],
        description=f"Azure LLM inference trace 2023, {service}, as recorded (CC-BY-4.0)",
    )


def read_azure(path: Path) -> Trace:
    """Read a CSV file as Azure published it (plain or .gz); the first request arrives at 0.

    Raises:
        TraceError: the file is missing, has no rows, or holds a time or a length that is none.
    """
    source = str(path)
    arrivals: list[int] = []
    prompts: list[int] = []
    outputs: list[int] = []
    for line, (time, prompt, output) in csv_rows(path, COLUMNS):
        arrivals.append(_utc_ns(time, source, f"line {line}, column TIMESTAMP"))
        prompts.append(tokens(prompt, source, f"line {line}, column ContextTokens"))
        outputs.append(tokens(output, source, f"line {line}, column GeneratedTokens"))
        if arrivals[-1] < arrivals[0] or (len(arrivals) > 1 and arrivals[-1] < arrivals[-2]):
            expected = f"expected times in order, found {shown(time)} after a later one"
            raise TraceError(source, f"line {line}, column TIMESTAMP", expected)
    if not arrivals:
        raise TraceError(source, "rows", "expected at least one request, found none")
    relative = np.array(arrivals, dtype=np.int64) - arrivals[0]
    return trace_of(path.name, relative, prompts, outputs, description=f"Azure CSV {path.name}")


def _utc_ns(cell: str, source: str, key: str) -> int:
    """Nanoseconds of a time stamp such as `2023-11-16 18:17:03.9799600`: more digits than datetime reads."""
    whole, _, fraction = cell.strip().partition(".")
    expected = f"expected a UTC time such as 2023-11-16 18:17:03.9799600, found {shown(cell)}"
    if fraction and not (
        fraction.isascii() and fraction.isdigit() and len(fraction) <= FRACTION_DIGITS
    ):
        raise TraceError(source, key, expected)
    try:
        since = datetime.strptime(whole + "+0000", "%Y-%m-%d %H:%M:%S%z").timestamp()
    except (ValueError, OverflowError) as error:
        raise TraceError(source, key, expected) from error
    ns = int(since) * 10**9 + int(fraction.ljust(FRACTION_DIGITS, "0"))
    if abs(ns) >= 2**63:
        raise TraceError(source, key, "expected a time that 64 bits of nanoseconds hold")
    return ns
