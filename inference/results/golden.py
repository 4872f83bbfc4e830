"""Golden tables: figures by policy and rate as aligned text, so that a change is a readable diff."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from inference.errors import InputError
from inference.results.summary import Summary
from inference.results.wording import printable

FIGURES = (
    "completed",
    "throughput_rps",
    "ttft_ms_p50",
    "ttft_ms_p90",
    "ttft_ms_p99",
    "tbt_ms_p50",
    "tbt_ms_p90",
    "tbt_ms_p99",
    "e2e_ms_p50",
    "e2e_ms_p90",
    "e2e_ms_p99",
    "gpu_energy_j_per_output_token",
    "power_w_mean",
)

Runs = Mapping[tuple[str, float], Summary]


def golden_text(title: str, runs: Runs, figures: Sequence[str] = FIGURES) -> str:
    """A table of one row for each policy and rate, in the order given.

    Four significant digits: below that lies the noise of summing floats in another order.

    Args:
        title: first line: scenario, seed, what a reader must know.
        runs: summaries by (policy, requests per second).
        figures: columns, by flat name.

    Raises:
        KeyError: a summary has no figure of that name.
    """
    rows = [("policy", "rate_rps", *figures)]
    for (policy, rate_rps), summary in runs.items():
        known = summary.figures()
        cells = (f"{known[figure]:.4g}" for figure in figures)
        rows.append((printable(policy), f"{rate_rps:g}", *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([f"# {printable(title)}", *lines]) + "\n"


def golden_difference(path: Path, text: str) -> str:
    """What changed against a golden file, as a unified diff; empty where nothing did.

    Raises:
        InputError: there is no such file; `write_golden` makes it.
    """
    try:
        kept = path.read_text(encoding="utf-8")
    except OSError as refused:
        expected = f"expected a golden table, written by write_golden: {refused.strerror}"
        raise InputError(str(path), "file", expected) from None
    return "".join(
        difflib.unified_diff(
            kept.splitlines(keepends=True),
            text.splitlines(keepends=True),
            fromfile=f"{path.name}, kept",
            tofile=f"{path.name}, now",
        )
    )


def write_golden(path: Path, text: str) -> None:
    """Keep a table as the golden one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    return "  ".join(
        [first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    )
