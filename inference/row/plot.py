"""A day of a row as a drawing: its power beside the thresholds, and when whom was capped."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from inference.domain.request import Priority
from inference.results.svg import FAINT, INK, SERIES, draw
from inference.row.result import BIN_NS, RowRun

DAY_S = 86_400
HOUR_S = 3600
POINT_S = 60
"""Each point is the highest of so many seconds: a mean would hide what a limit is about."""

BAND_S = 240

_PALETTE = (
    ":root{--ink:#1b1f24;--faint:#8b949e;--series-0:#1f6feb;--series-1:#d29922;--series-2:#cf222e;"
    "--series-3:#8250df;--series-4:#1a7f37;--series-5:#bf3989;--series-6:#57606a;--series-7:#0a3069}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--faint:#6e7681;--series-0:#58a6ff}}"
)


def day_svg(run: RowRun, day: int) -> str:
    """An SVG document of one day, counted from 0.

    Above: the row's power as a share of provisioned power, with POLCA's thresholds. Below: a band for each priority, the
    deeper the cap the denser. Brakes are marked where they took hold.

    Raises:
        ValueError: the run has no such day.
    """
    days = len(run.power_w) // DAY_S
    if not 0 <= day < days:
        raise ValueError(f"expected one of {days} whole days, counted from 0, found {day}")
    element = draw(lambda axes: _day(axes, run, day), width_in=9.0, height_in=3.6)
    opened = element.index(">") + 1
    return f"{element[:opened]}<style>{_PALETTE}</style>{element[opened:]}\n"


def _day(axes: Axes, run: RowRun, day: int) -> None:
    seconds = run.power_w[day * DAY_S : (day + 1) * DAY_S].astype(np.float64)
    share = seconds.reshape(-1, POINT_S).max(axis=1) / run.row.provisioned_w
    hours = np.arange(len(share)) * POINT_S / HOUR_S
    axes.plot(hours, 100 * share, color=SERIES[0], linewidth=0.7, label="row power")
    at = run.row.thresholds
    for level, style, colour in (
        (1.0, "-", SERIES[2]),
        (at.t2, "--", SERIES[1]),
        (at.t1, "--", SERIES[1]),
        (at.t2 - at.lift, ":", FAINT),
        (at.t1 - at.lift, ":", FAINT),
    ):
        axes.axhline(100 * level, linestyle=style, color=colour, linewidth=0.9)
    floor = min(40.0, 100 * float(share.min()) - 15)
    for place, (priority, colour) in enumerate(
        ((Priority.LOW, SERIES[3]), (Priority.HIGH, SERIES[4]))
    ):
        bottom = floor + 7 * place
        capped = capped_share(run, priority, day)
        axes.fill_between(
            np.arange(len(capped)) * BAND_S / HOUR_S,
            bottom,
            bottom + 4 * capped,
            color=colour,
            step="post",
            linewidth=0,
        )
        axes.text(0.1, bottom + 4.3, f"{priority.name.lower()} capped", fontsize=8, color=INK)
    for second in run.brake_seconds():
        if day * DAY_S <= second < (day + 1) * DAY_S:
            axes.axvline((second - day * DAY_S) / HOUR_S, color=SERIES[2], linewidth=0.8)
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3))
    axes.set_ylim(floor - 1, max(104.0, 100 * float(share.max()) + 2))
    axes.set_xlabel(f"hour of day {day} · {run.row.servers} servers · {run.policy}")
    axes.set_ylabel("% of provisioned power")


def capped_share(run: RowRun, priority: Priority, day: int) -> npt.NDArray[np.float64]:
    """How far below its highest clock the first server of a priority was, 1 being the day's deepest cap; mean of each band."""
    server = run.row.priorities().index(priority)
    clock_mhz = np.full(DAY_S, run.clock_mhz_max)
    for command in run.commands:
        if server in command.servers:
            since = max(0, command.at_ns // BIN_NS - day * DAY_S)
            clock_mhz[since:] = command.clock_mhz
    lowered = 1.0 - clock_mhz / run.clock_mhz_max
    deepest = max(float(lowered.max()), 1e-9)
    bands: npt.NDArray[np.float64] = lowered.reshape(-1, BAND_S).mean(axis=1) / deepest
    return bands
