"""Latency distributions and hops as pictures. matplotlib takes a second to load, so functions import it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loadtests.placement import Placement
from loadtests.quantiles import cumulative
from loadtests.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLUMNS = 3
WIDTH_INCHES = 12.0
ROW_INCHES = 3.2
DPI = 110


def latencies(
    samples_us: Mapping[tuple[str, str], Sequence[float]], subtitle: str, path: Path
) -> Path:
    """Draws the distribution of sequential latencies, by (function, target), a panel for each function, into a PNG."""
    names = list(dict.fromkeys(name for name, _ in samples_us))
    figure, panels = _grid(len(names))
    for name, axes in zip(names, panels, strict=False):
        for (subject, label), samples in samples_us.items():
            if subject == name:
                points = cumulative(samples)
                axes.step([x for x, _ in points], [y for _, y in points], where="post", label=label)
        _latency_axis(axes)
        axes.set_title(name)
        axes.legend(loc="lower right", fontsize=8)
    return _save(
        figure, f"One kept-alive connection, one invocation after the other\n{subtitle}", path
    )


def hops(records: Sequence[Record], subtitle: str, path: Path) -> Path:
    """Draws what the platform adds to bare (median of per-round pairs), a bar for each function and attachment."""
    figures = {
        "latency_us_p50": "p50, one after the other, µs",
        "cpu_us_c8": "CPU time at 8 connections, µs",
        "cpu_us_sequential": "CPU time, one after the other, µs",
    }
    figure, panels = _grid(len(figures))
    for (name, title), axes in zip(figures.items(), panels, strict=False):
        bars = {
            f"{one.subject}\n{one.attachment}": one.difference or 0.0
            for one in records
            if (one.benchmark, one.figure, one.baseline) == ("warm", name, "bare")
            and one.placement == Placement.SPLIT
        }
        colours = ["C0" if label.endswith("ring") else "C1" for label in bars]
        axes.bar(list(bars), list(bars.values()), color=colours)
        axes.tick_params(axis="x", labelsize=6)
        axes.grid(visible=True, axis="y", alpha=0.3)
        axes.set_title(title, fontsize=9)
    return _save(figure, f"What the platform adds to the bare function\n{subtitle}", path)


def _grid(panels: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = max(1, -(-panels // COLUMNS))
    figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, COLUMNS, squeeze=False).flat)[:panels]


def _latency_axis(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("latency of one invocation, µs")
    axes.set_ylabel("share of invocations")
    axes.grid(visible=True, which="both", alpha=0.3)


def _save(figure: Figure, title: str, path: Path) -> Path:
    figure.suptitle(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def latency_cdf(samples_us: Mapping[str, Sequence[float]], subtitle: str, path: Path) -> Path:
    """Draws the cumulative distribution of each target's sequential latencies (microseconds) into a PNG.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, samples in samples_us.items():
        points = cumulative(samples)
        axes.step([x for x, _ in points], [y for _, y in points], where="post", label=name)
    _latency_axis(axes)
    axes.legend(loc="lower right")
    return _save(
        figure, f"One kept-alive connection, one invocation after the other\n{subtitle}", path
    )
