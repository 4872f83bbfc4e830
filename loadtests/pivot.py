"""The figures of warm invocations side by side: a row for each function, attachment and placement. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from loadtests.mark import FAILED, Mark
from loadtests.placement import Placement
from loadtests.record import Record

Cells = dict[tuple[str, str, str], Record]


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the table: which record it is of, and what of it is shown."""

    title: str
    benchmark: str
    figure: str
    baseline: str
    pick: Callable[[Record], float | None]
    ratio: bool = False


def _value(record: Record) -> float | None:
    return record.value


def _baseline(record: Record) -> float | None:
    return record.baseline_value


def _ratio(record: Record) -> float | None:
    return record.ratio


def _difference(record: Record) -> float | None:
    return record.difference


COLUMNS = (
    Column("p50 µs", "warm", "latency_us_p50", "bare", _value),
    Column("bare", "warm", "latency_us_p50", "bare", _baseline),
    Column("hop", "warm", "latency_us_p50", "bare", _difference),
    Column("nginx", "warm", "latency_us_p50", "nginx", _baseline),
    Column("p99 x bare", "warm", "latency_us_p99", "bare", _ratio, ratio=True),
    Column("rps at 8", "warm", "rps_c8", "bare", _value),
    Column("bare", "warm", "rps_c8", "bare", _baseline),
    Column("x bare", "warm", "rps_c8", "bare", _ratio, ratio=True),
    Column("x nginx", "warm", "rps_c8", "nginx", _ratio, ratio=True),
    Column("at 64 x bare", "warm", "rps_c64", "bare", _ratio, ratio=True),
    Column("CPU µs at 8", "warm", "cpu_us_c8", "bare", _value),
    Column("hop", "warm", "cpu_us_c8", "bare", _difference),
    Column("CPU µs seq.", "warm", "cpu_us_sequential", "bare", _value),
    Column("hop", "warm", "cpu_us_sequential", "bare", _difference),
    Column("new conn. x bare", "fresh", "fresh_latency_us_p50", "bare", _ratio, ratio=True),
    Column("open p99 ms", "open", "open75_latency_ms_p99", "bare", _value),
    Column("bare", "open", "open75_latency_ms_p99", "bare", _baseline),
)
ATTACHMENTS = ("ring", "fd")
NONE = ("failed", *[""] * (len(COLUMNS) - 1))
"""Instead of the figures of a cell that has none."""
BENCHMARKS = ("warm", "fresh", "open")
HEAD = ("function", "by", "on", *(column.title for column in COLUMNS))


def rows(records: Iterable[Record], marks: Iterable[Mark] = ()) -> list[list[str]]:
    """A row of texts for each function, attachment and placement, in the order of `HEAD`; of ours that failed too."""
    groups: dict[tuple[str, str, str], Cells] = {}
    for one in records:
        cells = groups.setdefault((one.placement, one.subject, one.attachment), {})
        cells[one.benchmark, one.figure, one.baseline or ""] = one
    for mark in marks:
        if mark.kind == FAILED and mark.target in ATTACHMENTS:
            groups.setdefault((mark.placement, mark.subject, mark.target), {})
    order = {str(placement): number for number, placement in enumerate(Placement)}
    return [
        [subject, attachment, Placement(placement).letter, *(_texts(cells) if cells else NONE)]
        for (placement, subject, attachment), cells in sorted(
            groups.items(), key=lambda item: (order.get(item[0][0], len(order)), *item[0][1:])
        )
    ]


def _texts(cells: Cells) -> Sequence[str]:
    shown = []
    for column in COLUMNS:
        alone = cells.get((column.benchmark, column.figure, ""))
        record = cells.get((column.benchmark, column.figure, column.baseline), alone)
        value = column.pick(record) if record else None
        if value is None:
            shown.append("")
        elif column.ratio:
            shown.append(f"{value:.2f}")
        else:
            shown.append(f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}")
    return shown
