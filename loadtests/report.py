"""`python -m loadtests.report [FOLDER]`: writes loadtests/RESULTS.md from results/latest.json, and nothing by hand.

With the folder of a run below results/raw, that run's own page, from the rounds that it had written when it ended.

Every benchmark has a chapter (`loadtests.chapters`); goals, tables, placements and machine facts are rendered here, once
for all of them.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from loadtests import journal, record
from loadtests.goal_table import GOALS_WORDS, goals_table, mark
from loadtests.ledger import LATEST, Known, append, load
from loadtests.machine import Machine
from loadtests.mark import DISTURBED, FAILED, Mark
from loadtests.markdown import figure_text, markdown
from loadtests.placement import Placement
from loadtests.record import Record

PATH = Path(__file__).parent / "RESULTS.md"
HEAD = """\
# Results

Generated from [results/latest.json](results/latest.json) by `python -m loadtests.report`; do not edit. `make bench` and
`make bench-faasd` measure and record, [metrics.md](../docs/metrics.md) defines every figure, and
[specification.md](../docs/specification.md) lists what is promised. Values are medians over interleaved rounds, [in
brackets] least and most of the rounds; ratios and differences are medians of per-round pairs, so they need not equal
those of the two medians beside them.
"""


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture below loadtests/results and what it shows."""

    file: str
    caption: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of RESULTS.md.

    Attributes:
        title: its heading.
        benchmarks: whose records it shows; without any record it is left out.
        words: what to know before reading, Markdown.
        plots: shown where their files exist.
        table: renders the records, and who failed; the default is one row per record.
    """

    title: str
    benchmarks: tuple[str, ...]
    words: str
    plots: tuple[Plot, ...] = ()
    table: Callable[[Sequence[Record], Sequence[Mark]], str] | None = None


def render(known: Known, chapters: Sequence[Chapter], results: Path) -> str:
    """The whole page; `results` is where the pictures are."""
    verdicts = record.judge(known.records)
    parts = [HEAD, "## Goals\n", GOALS_WORDS, goals_table(verdicts, known.marks), placements_note()]
    for chapter in chapters:
        mine = [one for one in known.records if one.benchmark in chapter.benchmarks]
        marks = [one for one in known.marks if one.benchmark in chapter.benchmarks]
        if mine or marks:
            parts += [f"## {chapter.title}\n", f"{chapter.words}\n"]
            parts.append(chapter.table(mine, marks) if chapter.table else record_table(mine))
            parts += [
                f"![{plot.caption}](results/{plot.file})\n"
                for plot in chapter.plots
                if (results / plot.file).exists()
            ]
            parts += [mark_table(marks)] if marks else []
    parts += ["## Machines\n", machine_list(known.records)]
    return "\n".join(parts)


def mark_table(marks: Sequence[Mark]) -> str:
    """What failed, step by step, and how often another process worked during a visit."""
    failed = [one for one in marks if one.kind == FAILED]
    disturbed = [one for one in marks if one.kind == DISTURBED]
    parts = []
    if failed:
        names = ("failed", "target", "on", "round", "step", "why")
        parts.append(markdown(names, [_mark_row(one) for one in failed]))
    if disturbed:
        parts.append(
            f"Disturbed visits: {len(disturbed)}, in which another process took more than a tenth of a core. The last: {disturbed[-1]}. "
            f"`results/latest.json` lists all.\n"
        )
    return "\n".join(parts)


def _mark_row(one: Mark) -> tuple[str, ...]:
    where = Placement(one.placement).letter if one.placement else ""
    return (
        one.subject or one.benchmark,
        one.target,
        where,
        str(one.round or ""),
        one.step,
        one.words,
    )


def record_table(records: Sequence[Record]) -> str:
    """One row per record."""
    rows = [
        (
            one.subject,
            one.attachment,
            Placement(one.placement).letter if one.placement else "",
            f"`{one.figure}`",
            f"{figure_text(one.value)} [{figure_text(one.least)}..{figure_text(one.most)}] {one.unit}",
            one.baseline or "",
            figure_text(one.baseline_value),
            figure_text(one.difference),
            figure_text(one.ratio),
            one.goal or "",
            "" if one.met is None else mark([one.met]),
            str(one.rounds),
        )
        for one in records
    ]
    names = (
        *("function", "attachment", "placement", "figure", "ours", "beside", "its value"),
        *("difference", "ratio", "goal", "met", "rounds"),
    )
    used = [column for column in range(len(names)) if any(row[column] for row in rows)]
    return markdown([names[column] for column in used], [[row[c] for c in used] for row in rows])


def placements_note() -> str:
    """What the letters of the placements mean."""
    lines = [f"- **{one.letter}**: {one.words}" for one in Placement]
    return "Placements:\n" + "\n".join(lines) + "\n"


def machine_list(records: Iterable[Record]) -> str:
    """Every machine and commit that a figure comes from, with the disturbances of that run."""
    runs: dict[tuple[str, str], tuple[Machine, set[str]]] = {}
    for one in records:
        _, names = runs.setdefault((one.time, one.commit), (one.machine, set()))
        names.add(one.benchmark)
    lines = [
        f"- {time}, commit `{commit}` ({', '.join(sorted(names))}): {machine.cpu}, "
        f"{machine.cores} cores, {machine.memory_mib} MiB, {machine.os}, Linux {machine.kernel}, "
        f"cgroup {machine.cgroup}; load by {machine.generators}; steal {machine.steal_share:.1%}, "
        f"idle {machine.idle_share:.0%}, load at the start {machine.load_1m}."
        for (time, commit), (machine, names) in sorted(runs.items())
    ]
    return "\n".join(lines) + "\n"


def write(path: Path = PATH, latest: Path = LATEST) -> Path:
    """Renders the recorded results into a file."""
    return _write(path, load(latest), latest.parent)


def write_run(folder: Path, *, keep: bool) -> Path:
    """Renders a run, also one that was killed, from its rounds (`loadtests.journal`) into its folder.

    With `keep` it is recorded as if it had come to its end, and the page is the usual one.

    Raises:
        ValueError: there is no such run.
    """
    run_of = journal.read(folder)
    if keep:
        append(run_of.known, replaced=run_of.replaced)
        return write()
    return _write(folder / PATH.name, run_of.known, folder)


def _write(path: Path, known: Known, results: Path) -> Path:
    from loadtests.chapters import CHAPTERS  # chapters import this module's types

    path.write_text(render(known, CHAPTERS, results))
    return path


def main(
    folder: Annotated[
        Path | None, typer.Argument(help="A run's folder below loadtests/results/raw.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--record", help="Put the run's figures into latest.json.")
    ] = False,
) -> None:
    """Render RESULTS.md from latest.json, or a run of its own from the rounds that it wrote, killed or not."""
    try:
        sys.stdout.write(f"{write_run(folder, keep=keep) if folder else write()}\n")
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    typer.run(main)
