"""`jsim run`, `compare` and `report`: one run, several beside each other, and those made before."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from inference.cli.folder import REPORT, TRACE, Kept, keep, reread, write_page
from inference.cli.session import CommandError, announce, out, pieces_done, print_json, share_done
from inference.results.chrome_trace import write_chrome_trace
from inference.results.comparison import compare
from inference.results.parquet import MANIFEST
from inference.results.summary import Summary
from inference.results.table import print_comparison, print_run
from inference.scenarios.build import simulate
from inference.scenarios.loader import Loaded, loaded
from inference.scenarios.objectives import held, summary_of
from inference.sweep.processes import Processes
from inference.sweep.work import Task, made_of

# fmt: off
OF_THE_CLUSTER = (
    "name", "source", "beside", "replicas", "routing", "batching", "transfer", "power", "failures",
)
# fmt: on
"""Keys whose changes do not reach the scenarios beside: load, seed and limits are common, designs differ."""


def run_scenario(
    scenario: str,
    overrides: Sequence[str],
    folder: Path | None,
    *,
    as_json: bool,
    html: bool,
    window: bool,
) -> None:
    """Run a scenario and those that it is beside, print figures, write what was asked for."""
    asked = loaded(scenario, overrides)
    announce(asked.scenario.name, asked.scenario.seed, as_json=as_json)
    shared = [one for one in overrides if not one.lstrip().startswith(OF_THE_CLUSTER)]
    beside = [loaded(path, shared) for path in asked.scenario.beside]
    # Baselines first: what came before is what ratios are against.
    runs = [_finished(one) for one in (*beside, asked)]
    main = runs[-1]
    where = folder or Path()
    wrote: list[Path] = []
    if folder is not None:
        # The run asked for is first: the others get folders inside its own.
        for one, made in reversed(list(zip((*beside, asked), runs, strict=True))):
            place = folder if one is asked else folder / one.scenario.name
            keep(made.run, one.values, place)
            wrote.append(place)
    if html:
        wrote.append(_write_html(runs, where, main.run.name if folder is None else ""))
    if window:
        path = where / (TRACE if folder is not None else f"{main.run.name}.trace.json")
        write_chrome_trace(main.run, path, requests_max=200)
        wrote.append(path)
    if as_json:
        print_json(main.summary.to_json())
        return
    if beside:
        print_comparison([one.summary for one in runs], out)
        out.print(story(runs[0].summary, main.summary))
    else:
        print_run(main.run, main.summary, out)
    _print_written(wrote)


def compare_runs(
    names: Sequence[str],
    overrides: Sequence[str],
    where: Path,
    jobs: int,
    *,
    as_json: bool,
    html: bool,
) -> None:
    """Print scenarios or folders of runs beside each other, ratios to the first."""
    tasks = {name: Task(name, tuple(overrides)) for name in names if not _is_folder(name)}
    for task in tasks.values():
        one = loaded(task.scenario, overrides).scenario
        announce(one.name, one.seed, as_json=as_json)
    with pieces_done("runs", len(tasks)) as advance, Processes(made_of, jobs) as processes:
        answers = processes.run(list(tasks.values()), lambda index, answer: advance(1))
    made = dict(zip(tasks, answers, strict=True))
    runs = []
    for name in names:
        if name in made:
            answer = made[name]
            if answer.run is None or answer.summary is None:
                raise CommandError(answer.error)
            runs.append(Kept(answer.run, answer.summary))
        else:
            runs.append(reread(Path(name)))
    summaries = [one.summary for one in runs]
    if as_json:
        print_json(compare(*summaries).to_json())
    else:
        print_comparison(summaries, out)
    if html:
        write_page(runs, where / "compare.html", "Comparison")
        if not as_json:
            _print_written([where / "compare.html"])


def report(folder: Path, *, as_json: bool, html: bool) -> None:
    """Print a run's figures again, and write its page."""
    again = reread(folder)
    announce(again.run.name, again.run.seed, as_json=as_json)
    if as_json:
        print_json(again.summary.to_json())
    else:
        print_run(again.run, again.summary, out)
    if html:
        path = write_page([again], folder / REPORT, again.run.name)
        if not as_json:
            _print_written([path])


def story(baseline: Summary, other: Summary) -> Text:
    """What a comparison says, in two sentences."""
    told = compare(baseline, other, figures=())
    figures = {row.figure: row.ratios[1] for row in told.rows}

    def change(figure: str, what: str) -> str:
        percent = 100 * (figures.get(figure, float("nan")) - 1)
        return f"{what} {percent:+.0f} %"

    parts = [
        change("ttft_ms_p50", "TTFT P50"),
        change("tbt_ms_p50", "TBT P50"),
        change("tbt_ms_p99", "TBT P99"),
        change("e2e_ms_p99", "E2E P99"),
        change("gpu_energy_wh", "GPU energy"),
    ]
    verdicts = {True: "holds its objectives", False: "breaks its objectives", None: "has none"}
    return Text(
        f"{other.name} against {baseline.name}: {', '.join(parts)}.\n"
        f"{baseline.name} {verdicts[held(baseline)]}; {other.name} {verdicts[held(other)]}."
    )


def _finished(one: Loaded) -> Kept:
    with share_done(one.scenario.name) as progress:
        run = simulate(one.scenario, one.source, progress)
    return Kept(run, summary_of(one.scenario, run))


def _write_html(runs: Sequence[Kept], where: Path, name: str) -> Path:
    others = ", ".join(one.run.name for one in runs[:-1])
    return write_page(
        runs, where / (f"{name}.html" if name else REPORT), f"{runs[-1].run.name} beside {others}"
    )


def _is_folder(name: str) -> bool:
    return "\0" not in name and (Path(name) / MANIFEST).is_file()


def _print_written(paths: Sequence[Path]) -> None:
    for path in paths:
        out.print(Text(f"wrote {path}"))
