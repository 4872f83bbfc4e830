"""What a report draws: each plot is data thinned to what a screen shows, its SVG and its legend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from inference.results.attainment import ClassAttainment
from inference.results.distribution import Distribution
from inference.results.energy import pool_name
from inference.results.run import Float64, Int64, RunResult, SeriesColumns
from inference.results.summary import Group
from inference.results.svg import FAINT, INK, SERIES, SERIES_MAX, draw
from inference.results.timings import Timings
from inference.results.wording import numeral, printable

POINTS_MAX = 2000
NS_PER_MS = 1e6
NS_PER_S = 1e9

METRICS_MS: Mapping[str, Callable[[Timings], Float64]] = {
    "TTFT": lambda timings: timings.ttft_ns / NS_PER_MS,
    "TBT": lambda timings: timings.tbt_ns / NS_PER_MS,
    "E2E": lambda timings: timings.e2e_ns / NS_PER_MS,
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing with its words.

    Attributes:
        title: above it.
        svg: an element whose colours are the page's variables.
        legend: names of its series by place; names beyond the colours are not drawn.
        note: below it; may be empty.
    """

    title: str
    svg: str
    legend: tuple[str, ...] = ()
    note: str = ""


def latency_plots(runs: Mapping[str, Timings]) -> tuple[Plot, ...]:
    """Cumulative distributions of TTFT, TBT and E2E of completed requests, a curve for each run."""
    plots = []
    for name, metric in METRICS_MS.items():
        curves = {run: metric(timings) for run, timings in runs.items() if len(timings)}
        if curves:
            legend = tuple(curves) if len(runs) > 1 else ()
            plots.append(_cumulative(f"{name} of completed requests", "ms", curves, legend))
    return tuple(plots)


def series_plots(run: RunResult) -> tuple[Plot, ...]:
    """Power, pool sizes and queues over time; none where the run kept no series."""
    series = run.series
    if series is None or not len(series.power_w):
        return ()
    pools = [_label(run, pool) for pool in range(series.pool_power_w.shape[1])]
    by_pool = {name: series.pool_power_w[:, place] for place, name in enumerate(pools)}
    power = {"all": series.power_w} | (
        {f"pool {name}": watts for name, watts in by_pool.items()} if len(pools) > 1 else {}
    )
    gpus = {name: series.pool_gpus[:, place] for place, name in enumerate(pools)}
    queues = {"running": series.running, "waiting": series.waiting}
    return (
        _over_time("Power of GPUs", "W", series, power),
        _over_time("GPUs held by pool", "GPUs", series, gpus),
        _over_time("Requests running and waiting", "requests", series, queues),
    )


def power_plot(runs: Mapping[str, SeriesColumns]) -> Plot | None:
    """Power of several runs over the same time; None where none kept a series."""
    drawn = {name: one for name, one in runs.items() if len(one.power_w)}
    if not drawn:
        return None
    seconds = max(len(one.power_w) * one.period_ns for one in drawn.values()) / NS_PER_S
    unit, per_s = _time_unit(seconds)

    def plot(axes: Axes) -> None:
        for place, one in enumerate(list(drawn.values())[:SERIES_MAX]):
            means, every = _thinned(one.power_w)
            times = np.arange(len(means)) * every * one.period_ns / NS_PER_S / per_s
            axes.plot(times, means, color=SERIES[place], linewidth=1.2)
        _name_axes(axes, f"simulated time, {unit}", "W")
        axes.set_ylim(bottom=0)

    return Plot("Power of GPUs", draw(plot), tuple(drawn))


def active_tokens_plot(run: RunResult) -> Plot | None:
    """Share of replicas' time by active tokens in a batch, cumulative (Splitwise's batch utilisation)."""
    spent = {
        _label(run, pool): counts
        for pool, counts in sorted(run.active_tokens_ns.items())
        if counts[1:].any()
    }
    if not spent:
        return None

    def plot(axes: Axes) -> None:
        for place, counts in enumerate(list(spent.values())[:SERIES_MAX]):
            shares = np.cumsum(counts) / counts.sum()
            # Idle time, at no tokens, has no place on a log axis: the curve starts above it.
            tokens = np.arange(1, len(counts))
            kept = _spread(len(tokens))
            axes.step(
                tokens[kept], shares[1:][kept], where="post", color=SERIES[place], linewidth=1.4
            )
        _log_axis(axes)
        _name_axes(axes, "active tokens in the batch, at most", "share of time")
        _share_axis(axes)

    idle = any(int(counts[0]) for counts in spent.values())
    told = "Idle time included: a curve starts at its share." if idle else "Idle time left out."
    note = f"{told} The last count holds that many or more."
    return Plot("Time by active tokens", draw(plot), tuple(spent), note)


def class_plots(classes: Sequence[ClassAttainment]) -> tuple[Plot, ...]:
    """P50 to P99 of TTFT and TPOT by request class, each with its objective."""
    drawn = [one for one in classes if one.requests]
    if not drawn:
        return ()
    names = [one.name for one in drawn]
    return (
        _ranges(
            "TTFT by request class",
            names,
            [one.ttft_ms for one in drawn],
            [one.ttft_slo_ms for one in drawn],
        ),
        _ranges(
            "TPOT by request class",
            names,
            [one.tpot_ms for one in drawn],
            [one.tbt_slo_ms for one in drawn],
        ),
    )


def group_plots(groups: Sequence[Group], by: str) -> tuple[Plot, ...]:
    """P50 to P99 of TTFT and E2E by priority or model."""
    drawn = [one for one in groups if one.completed]
    if not drawn:
        return ()
    names = [one.name for one in drawn]
    return (
        _ranges(f"TTFT by {by}", names, [one.ttft_ms for one in drawn], ()),
        _ranges(f"E2E by {by}", names, [one.e2e_ms for one in drawn], ()),
    )


def _label(run: RunResult, pool: int) -> str:
    """A pool's name; with its index where another has the same."""
    name = pool_name(run, pool)
    return name if run.pools.count(name) < 2 else f"{name} ({pool})"


def _cumulative(
    title: str, unit: str, curves: Mapping[str, Float64], legend: tuple[str, ...]
) -> Plot:
    def plot(axes: Axes) -> None:
        for place, values in enumerate(list(curves.values())[:SERIES_MAX]):
            points, shares = cdf(values)
            axes.plot(points, shares, color=SERIES[place], linewidth=1.4)
        _log_axis(axes)
        _name_axes(axes, unit, "share of requests")
        _share_axis(axes)

    thinned = max(len(values) for values in curves.values()) > POINTS_MAX
    note = f"Drawn through {POINTS_MAX:,} of the values, spread by rank." if thinned else ""
    return Plot(title, draw(plot), legend, note)


def cdf(values: Float64) -> tuple[Float64, Float64]:
    """Points of a cumulative distribution, at most `POINTS_MAX`, the extremes among them.

    Values of 0 raise the curve's start and are no points: a logarithmic axis has no place for them.
    """
    ordered = np.sort(values)
    zeros = int(np.searchsorted(ordered, 0, side="right"))
    shares = np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    kept = zeros + _spread(len(ordered) - zeros)
    return ordered[kept], shares[kept]


def _spread(count: int) -> npt.NDArray[np.intp]:
    """At most `POINTS_MAX` of `count` places, the first and the last among them."""
    if count <= POINTS_MAX:
        return np.arange(count)
    return np.linspace(0, count - 1, POINTS_MAX).astype(np.intp)


def _over_time(
    title: str, unit: str, series: SeriesColumns, curves: Mapping[str, Float64 | Int64]
) -> Plot:
    rows = len(series.power_w)
    time_unit, per_s = _time_unit(rows * series.period_ns / NS_PER_S)
    every = _thinned(series.power_w)[1]

    def plot(axes: Axes) -> None:
        for place, values in enumerate(list(curves.values())[:SERIES_MAX]):
            means, _ = _thinned(values)
            times = np.arange(len(means)) * every * series.period_ns / NS_PER_S / per_s
            axes.plot(times, means, color=SERIES[place], linewidth=1.2, drawstyle="steps-post")
        _name_axes(axes, f"simulated time, {time_unit}", unit)
        axes.set_ylim(bottom=0)

    note = f"Each point is the mean of {every} samples." if every > 1 else ""
    return Plot(title, draw(plot), tuple(curves) if len(curves) > 1 else (), note)


def _thinned(values: npt.NDArray[np.number]) -> tuple[Float64, int]:
    """Means of so many rows that at most `POINTS_MAX` are left, and how many rows each is of."""
    every = -(-len(values) // POINTS_MAX)
    starts = np.arange(0, len(values), max(every, 1))
    sums = np.add.reduceat(values.astype(np.float64), starts)
    counts = np.minimum(len(values) - starts, every)
    return sums / counts, every


def _ranges(
    title: str,
    names: Sequence[str],
    distributions: Sequence[Distribution],
    limits: Sequence[float],
) -> Plot:
    labels = [printable(name)[:24] for name in names]

    def plot(axes: Axes) -> None:
        places = np.arange(len(names))
        told = np.array([(one.p50, one.p90, one.p99) for one in distributions])
        told = np.where(np.isfinite(told) & (told > 0), told, np.nan)
        for place, (p50, _, p99) in zip(places, told, strict=True):
            axes.plot([p50, p99], [place, place], color=SERIES[0], linewidth=2.5, alpha=0.4)
        for column, marker in enumerate(("o", "d", "s")):
            axes.plot(told[:, column], places, marker, color=SERIES[0], markersize=5)
        if limits:
            axes.plot(limits, places, "|", color=INK, markersize=14, markeredgewidth=1.5)
        _log_axis(axes)
        axes.set_yticks(places, labels)
        axes.set_ylim(len(names) - 0.5, -0.5)
        _name_axes(axes, "ms", "")

    absent = [
        f"{printable(name)} {numeral(one.p99)}"
        for name, one in zip(names, distributions, strict=True)
        if np.isinf(one.p99)
    ]
    note = "Circle P50, diamond P90, square P99." + (" Bar: the objective." if limits else "")
    if absent:
        note += f" P99 beyond the axis, by requests that did not complete: {', '.join(absent)}."
    left_in = 0.3 + 0.085 * max(len(label) for label in labels)
    svg = draw(plot, height_in=0.9 + 0.3 * len(names), left_in=left_in)
    return Plot(title, svg, (), note)


def _name_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.tick_params(which="both", color=FAINT)


def _log_axis(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers, and some of them also where values are close."""
    axes.set_xscale("log")
    lower, upper = axes.get_xlim()
    if upper < 2 * lower:
        middle = (lower * upper) ** 0.5
        lower, upper = middle / 1.5, middle * 1.5
        axes.set_xlim(lower, upper)
    subs = [1.0]
    if upper < 5 * lower:
        subs = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]
    elif upper < 50 * lower:
        subs = [1.0, 2.0, 5.0]
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _time_unit(seconds: float) -> tuple[str, float]:
    """A unit in which a span is at most some hundreds, and its seconds."""
    for unit, per_s, most in (("s", 1, 600), ("min", 60, 36_000), ("h", 3600, 864_000)):
        if seconds <= most:
            return unit, per_s
    return "days", 86_400
