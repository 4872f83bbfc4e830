"""The latency distribution of each target as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from loadtests.quantiles import cumulative


def latency_cdf(samples_us: Mapping[str, Sequence[float]], subtitle: str, path: Path) -> Path:
    """Draws the cumulative distribution of each target's sequential latencies (microseconds) into a PNG.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    # Imported here: matplotlib takes a second to load and only this function needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, samples in samples_us.items():
        points = cumulative(samples)
        axes.step([x for x, _ in points], [y for _, y in points], where="post", label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("latency of one invocation, µs")
    axes.set_ylabel("share of invocations")
    axes.set_title(
        f"One kept-alive connection, one invocation after the other\n{subtitle}", fontsize=9
    )
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
