"""The comparison as pictures: rate by connections, and open-loop p99 by load."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loadtests.record import Record
from loadtests.series import OURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LATENCY = "faasd-latency.png"
RATES = "faasd-rates.png"
OPEN = "faasd-open.png"
Line = list[tuple[int, float]]


def rates(records: Sequence[Record], subtitle: str, path: Path) -> None:
    """Draws each system's closed-loop rate by connections."""

    def dress(axes: "Axes") -> None:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("connections, each sending again once its answer is in")
        axes.set_ylabel("invocations per second")

    _draw(lines(records, r"rps_c(\d+)"), f"Closed loops\n{subtitle}", dress, path)


def open_loops(records: Sequence[Record], subtitle: str, path: Path) -> None:
    """Draws each system's 99th percentile by load, the load in percent of its own peak."""

    def dress(axes: "Axes") -> None:
        axes.set_yscale("log")
        axes.set_xlabel("load, percent of the system's own peak")
        axes.set_ylabel("p99 from when a request was due, ms")

    title = f"Open loops, each at a share of its own peak\n{subtitle}"
    _draw(lines(records, r"open(\d+)_latency_ms_p99"), title, dress, path)


def lines(records: Sequence[Record], pattern: str) -> dict[str, Line]:
    """Points (number in the figure's name, value) of ours and of each baseline, in order."""
    found: dict[str, dict[int, float]] = {}
    for one in records:
        match = re.fullmatch(pattern, one.figure)
        if match is None:
            continue
        number = int(match[1])
        found.setdefault(OURS, {})[number] = one.value
        if one.baseline and one.baseline_value is not None:
            found.setdefault(one.baseline, {})[number] = one.baseline_value
    return {name: sorted(points.items()) for name, points in found.items()}


def _draw(drawn: dict[str, Line], title: str, dress: Callable[["Axes"], None], path: Path) -> None:
    # Imported here: matplotlib takes a second to load and only pictures need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter, StrMethodFormatter

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, points in drawn.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    dress(axes)
    axes.set_xticks(sorted({x for points in drawn.values() for x, _ in points}))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(title, fontsize=9)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
