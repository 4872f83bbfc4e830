"""Runs side by side: each figure, and its ratio to the first run's."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from inference.results.summary import Summary

HEADLINES = (
    "requests",
    "completed",
    "throughput_rps",
    "goodput_rps",
    "slo_attainment",
    "ttft_ms_p50",
    "ttft_ms_p90",
    "ttft_ms_p99",
    "tbt_ms_p50",
    "tbt_ms_p90",
    "tbt_ms_p99",
    "e2e_ms_p50",
    "e2e_ms_p90",
    "e2e_ms_p99",
    "queue_ms_p99",
    "second_token_ms_p50",
    "transfer_ms_p50",
    "gpu_energy_wh",
    "gpu_energy_j_per_output_token",
    "power_w_mean",
    "power_w_p99",
    "gpus_mean",
    "idle_time_share",
    "carbon_g",
    "cost_usd",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure over all runs.

    Attributes:
        figure: its flat name.
        values: one for each run; NaN where the run has none.
        ratios: each value / the first run's; NaN where that is 0 or either has no value.
    """

    figure: str
    values: tuple[float, ...]
    ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of runs side by side; the first run is what ratios are against."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]

    def ratio(self, figure: str, run: int = 1) -> float:
        """Ratio of a figure of one run to the first run's.

        Raises:
            KeyError: the comparison has no such figure.
        """
        return {row.figure: row for row in self.rows}[figure].ratios[run]

    def to_json(self) -> str:
        """JSON: {"runs": names, "figures": {figure: {"values": [...], "ratios": [...]}}}."""
        figures = {
            row.figure: {"values": _plain(row.values), "ratios": _plain(row.ratios)}
            for row in self.rows
        }
        return json.dumps({"runs": self.names, "figures": figures}, indent=2, allow_nan=False)


def compare(baseline: Summary, *others: Summary, figures: Sequence[str] = HEADLINES) -> Comparison:
    """Summaries side by side, ratios against `baseline`; a figure that no run has is left out.

    Args:
        baseline: what ratios are against.
        others: the other runs.
        figures: flat names, as of `Summary.figures`; empty for all that any run has.
    """
    tables = [one.figures() for one in (baseline, *others)]
    asked = figures or tuple(dict.fromkeys(name for table in tables for name in table))
    rows = []
    for figure in asked:
        values = tuple(table.get(figure, math.nan) for table in tables)
        if not all(math.isnan(value) for value in values):
            rows.append(Row(figure, values, tuple(_ratio(value, values[0]) for value in values)))
    return Comparison(tuple(one.name for one in (baseline, *others)), tuple(rows))


def _ratio(value: float, baseline: float) -> float:
    return value / baseline if baseline and math.isfinite(baseline) else math.nan


def _plain(values: tuple[float, ...]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
