"""`python -m loadtests.report`: writes loadtests/RESULTS.md from results/latest.json, and nothing by hand.

Every benchmark has a chapter (`loadtests.chapters`); goals, tables, placements and machine facts are rendered here, once
for all of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests import goals, record
from loadtests.machine import Machine
from loadtests.placement import Placement
from loadtests.record import Record
from loadtests.verdicts import Finding, Verdict

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
        table: renders the records; the default is one row per record.
    """

    title: str
    benchmarks: tuple[str, ...]
    words: str
    plots: tuple[Plot, ...] = ()
    table: Callable[[Sequence[Record]], str] | None = None


def render(records: Iterable[Record], chapters: Sequence[Chapter], results: Path) -> str:
    """The whole page; `results` is where the pictures are."""
    known = list(records)
    parts = [HEAD, "## Goals\n", goals_table(record.judge(known)), placements_note()]
    for chapter in chapters:
        mine = [one for one in known if one.benchmark in chapter.benchmarks]
        if mine:
            parts += [f"## {chapter.title}\n", f"{chapter.words}\n"]
            parts.append((chapter.table or record_table)(mine))
            parts += [
                f"![{plot.caption}](results/{plot.file})\n"
                for plot in chapter.plots
                if (results / plot.file).exists()
            ]
    parts += ["## Machines\n", machine_list(known)]
    return "\n".join(parts)


def goals_table(verdicts: Iterable[Verdict]) -> str:
    """The goals of the issue, one row per goal and bound, with what was measured."""
    rows = []
    for verdict in verdicts:
        for bound in verdict.goal.bounds:
            mine = [finding for finding in verdict.findings if finding.bound == bound]
            where = Placement(bound.placement).letter if bound.placement else ""
            rows.append(
                (
                    f"{verdict.goal.words}: `{bound.figure}`",
                    bound.attachment,
                    where,
                    str(bound),
                    bound.text(bound.stretch),
                    findings_text(mine),
                    mark([finding.met for finding in mine]),
                )
            )
    return markdown(("figure", "by", "placement", "goal", "stretch", "measured", "met"), rows)


def findings_text(findings: Sequence[Finding]) -> str:
    """What was measured, function by function; empty where nothing was."""
    if all(finding.measured is None for finding in findings):
        return ""
    return "; ".join(finding_text(finding) for finding in findings)


def finding_text(finding: Finding) -> str:
    """A function and what was measured of it."""
    name = f"{finding.subject} " if finding.subject else ""
    if finding.measured is None:
        return f"{name}not measured"
    sign = "+" if finding.bound.of is goals.Of.DIFFERENCE and finding.measured > 0 else ""
    return f"{name}{sign}{figure_text(finding.measured)}"


def mark(marks: Sequence[bool | None]) -> str:
    """One word for the findings of a bound."""
    if False in marks:
        return "**no**"
    if None in marks:
        return "in part" if True in marks else "not measured"
    return "yes"


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


def figure_text(value: float | None) -> str:
    """Three significant digits; thousands whole and separated; empty where there is none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write(path: Path = PATH, latest: Path = record.LATEST) -> Path:
    """Renders the recorded results into a file."""
    from loadtests.chapters import CHAPTERS  # chapters import this module's types

    path.write_text(render(record.load(latest), CHAPTERS, latest.parent))
    return path


if __name__ == "__main__":
    write()
