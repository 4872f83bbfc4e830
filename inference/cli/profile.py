"""`jsim profile`: what batch, TP, clock and lengths cost and give, and the cheapest setting within limits (Greener LLMs)."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.table import Table
from rich.text import Text

from inference.cli.session import CommandError, out, print_json
from inference.errors import InputError
from inference.models.catalog import gpu_by_name, model_by_name
from inference.models.explorer import (
    CLOCKS_MHZ,
    Limits,
    Surface,
    best_clock,
    cheapest,
    explore_model,
)
from inference.models.latency import latency_provenance, profiled
from inference.models.power import power_provenance
from inference.models.provenance import Origin, Provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN: tuple[str, ...] = ("tp", "batch", "clock_mhz", "ttft_ms", "tbt_ms", "tokens_per_s")
SHOWN += ("power_w", "energy_j_per_token", "energy_j_per_request")
PLOTTED = ("tokens_per_s", "tbt_ms", "power_w", "energy_j_per_token")


@dataclass(frozen=True, slots=True)
class Question:
    """What is explored.

    Attributes:
        model, gpu: names of the catalogue.
        tps: tensor parallelisms; empty for all that were profiled.
        batches: requests at once.
        prompt_tokens, output_tokens: of each request.
        limits: that the cheapest setting must hold.
        by: column that is to be least.
    """

    model: str
    gpu: str
    tps: tuple[int, ...]
    batches: tuple[int, ...]
    prompt_tokens: int
    output_tokens: int
    limits: Limits
    by: str


def profile(question: Question, folder: Path | None, *, as_json: bool) -> None:
    """Print the surface and its cheapest setting; write CSV and plot where a folder is named."""
    model, gpu = model_by_name(question.model), gpu_by_name(question.gpu)
    tps = question.tps or _profiled_tps(question)
    clocks = [clock for clock in CLOCKS_MHZ if gpu.clock_mhz_min <= clock < gpu.clock_mhz_max]
    clocks.append(gpu.clock_mhz_max)
    lengths = [(question.prompt_tokens, question.output_tokens)]
    try:
        surface = explore_model(model, gpu, tps, clocks, question.batches, lengths)
        best = cheapest(surface, question.limits, question.by)
    except ValueError as error:
        raise CommandError(str(error)) from None
    sources = {f"latency tp{tp}": latency_provenance(model, gpu, tp, "context") for tp in tps} | {
        f"power tp{tp}": power_provenance(model, gpu, tp) for tp in tps
    }
    wrote = _write(surface, folder, question) if folder is not None else ()
    if as_json:
        columns = {name: column.tolist() for name, column in surface.columns().items()}
        told = {name: msgspec.to_builtins(one) for name, one in sources.items()}
        document = {"surface": columns, "cheapest": best, "provenance": told}
        print_json(msgspec.json.encode(document).decode())
        return
    out.print(_table(surface, question))
    out.print(_verdict(best, question))
    _print_sources(sources)
    for path in wrote:
        out.print(Text(f"wrote {path}"))


def _profiled_tps(question: Question) -> tuple[int, ...]:
    known = [one for one in profiled("context") if one[:2] == (question.model, question.gpu)]
    if not known:
        pairs = sorted({f"{model} on {gpu}" for model, gpu, _ in profiled("context")})
        raise CommandError(
            f"nobody profiled {question.model} on {question.gpu}; expected one of {', '.join(pairs)}"
        )
    return tuple(tp for _, _, tp in known)


def _table(surface: Surface, question: Question) -> Table:
    """Two rows for each TP and batch: the clock that is least in the asked column, and the highest clock."""
    title = (
        f"{question.model} on {question.gpu}, {question.prompt_tokens} prompt and"
        f" {question.output_tokens} output tokens: clock of least {question.by}, and highest clock"
    )
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for name in SHOWN:
        table.add_column(name, justify="right")
    clock_max = int(surface.clock_mhz.max())
    best = best_clock(surface, question.by)
    for index in range(len(best)):
        row = best.row(index)
        table.add_row(*_cells(row), style="" if row["fits"] else "dim")
        if row["clock_mhz"] != clock_max:
            fastest = surface.at(tp=int(row["tp"]), batch=int(row["batch"]), clock_mhz=clock_max)
            table.add_row(*_cells(fastest.row(0)), style="" if row["fits"] else "dim")
        table.add_section()
    table.caption = "dim: does not fit into memory"
    return table


def _cells(row: dict[str, float]) -> list[str]:
    return [f"{row[name]:,.4g}" if row[name] % 1 else f"{row[name]:,.0f}" for name in SHOWN]


def _verdict(best: dict[str, float] | None, question: Question) -> Text:
    if best is None:
        return Text("no setting that fits into memory holds the limits")
    return Text(
        f"least {question.by} within the limits: TP{best['tp']:.0f}, {best['clock_mhz']:.0f} MHz,"
        f" batch {best['batch']:.0f}: {best[question.by]:,.4g}"
        f" (TTFT {best['ttft_ms']:,.0f} ms, TBT {best['tbt_ms']:,.1f} ms,"
        f" {best['tokens_per_s']:,.0f} tokens/s, {best['power_w']:,.0f} W)"
    )


def _print_sources(sources: dict[str, Provenance]) -> None:
    by_figures: dict[Provenance, list[str]] = {}
    for name, one in sources.items():
        by_figures.setdefault(one, []).append(name)
    for one, names in by_figures.items():
        what = f"{', '.join(names)}: {one.origin} by {one.by} on {one.on}, {one.when}; {one.note}"
        out.print(Text(what))


def _write(surface: Surface, folder: Path, question: Question) -> Sequence[Path]:
    paths = (folder / "profile.csv", folder / "profile.png")
    columns = surface.columns()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with paths[0].open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow((*columns, "origin"))
            for row in zip(*(column.tolist() for column in columns.values()), strict=True):
                writer.writerow((*row, Origin.MODELLED.value))
        _plot(surface, question).savefig(paths[1], dpi=120)
    except OSError as error:
        expected = f"expected a folder to write to: {error.strerror}"
        raise InputError(str(folder), "--out", expected) from None
    return paths


def _plot(surface: Surface, question: Question) -> "Figure":
    """Figures over the clock, one line for each TP and batch."""
    from matplotlib.figure import Figure  # a second of imports that most commands do without

    figure = Figure(figsize=(11, 7), layout="constrained")
    figure.suptitle(f"{question.model} on {question.gpu}, modelled")
    for place, name in enumerate(PLOTTED):
        panel = figure.add_subplot(math.ceil(len(PLOTTED) / 2), 2, place + 1)
        for tp in dict.fromkeys(surface.tp.tolist()):
            for batch in dict.fromkeys(surface.batch.tolist()):
                line = surface.at(tp=tp, batch=batch)
                label = f"TP{tp} batch {batch}"
                panel.plot(line.clock_mhz, line.columns()[name], "o-", ms=3, label=label)
        panel.set_xlabel("SM clock, MHz")
        panel.set_ylabel(name)
        panel.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="x-small")
    return figure
