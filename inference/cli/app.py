"""The table of commands of `jsim`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from inference.cli import listing, run, sweep
from inference.cli.session import CommandError, err
from inference.errors import InferenceError
from inference.sweep.processes import ProcessLost, cores

# What typer raises for a command line that cannot be: its parser's own class, which it has under two names.
UsageError: Any = typer.BadParameter.__mro__[2]

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141

app = typer.Typer(
    name="jsim",
    help="Simulates clusters that serve LLMs: latency, power and cost of designs and policies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Scenario = Annotated[
    str, typer.Argument(help="A TOML file, or a name that `jsim scenarios` lists.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key, as in trace.rate_per_s=50."),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the scenario's.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Html = Annotated[bool, typer.Option("--html", help="Write a page with plots.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Runs at a time; all cores if not said.")
]


@app.command("run")
def run_command(
    scenario: Scenario,
    changes: Set = None,
    seed: Seed = None,
    folder: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Folder for the run's tables.")
    ] = None,
    json: Json = False,
    html: Html = False,
    window: Annotated[
        str,
        typer.Option("--trace-window", metavar="A:B", help="Seconds to keep for a Chrome trace."),
    ] = "",
) -> None:
    """Run a scenario and print its figures."""
    overrides = _overrides(changes, seed)
    if window:
        overrides.append(f"report.iterations_window_s={_window(window)}")
    run.run_scenario(scenario, overrides, folder, as_json=json, html=html, window=bool(window))


@app.command("compare")
def compare_command(
    runs: Annotated[list[str], typer.Argument(help="Scenarios, or folders of earlier runs.")],
    changes: Set = None,
    seed: Seed = None,
    folder: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder for the page.")
    ] = Path(),
    json: Json = False,
    html: Html = False,
    jobs: Jobs = None,
) -> None:
    """Print runs beside each other, with ratios to the first."""
    overrides = _overrides(changes, seed)
    run.compare_runs(runs, overrides, folder, jobs or cores(), as_json=json, html=html)


@app.command("sweep")
def sweep_command(
    scenario: Scenario,
    grid: Annotated[
        list[str],
        typer.Option("--grid", metavar="KEY=A,B|LOW:HIGH:STEP", help="Values of one key; repeat."),
    ],
    changes: Set = None,
    seed: Seed = None,
    folder: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder for table and plot.")
    ] = Path("sweep"),
    json: Json = False,
    jobs: Jobs = None,
) -> None:
    """Run every combination of some keys' values, on all cores."""
    overrides = _overrides(changes, seed)
    sweep.sweep(scenario, overrides, grid, folder, jobs or cores(), as_json=json)


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder that `jsim run --out` wrote.")],
    json: Json = False,
    html: Annotated[bool, typer.Option("--html/--no-html", help="Write its page too.")] = True,
) -> None:
    """Print the figures of an earlier run again, and write its page."""
    run.report(folder, as_json=json, html=html)


@app.command("scenarios")
def scenarios_command(json: Json = False) -> None:
    """List the scenarios that come with the product."""
    listing.list_scenarios(as_json=json)


@app.command("policies")
def policies_command(json: Json = False) -> None:
    """List policies with their settings."""
    listing.list_policies(as_json=json)


def main() -> None:
    """Runs the command line; what a user can mend is one line and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except UsageError as error:
        _fail(error.format_message())
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except (InferenceError, CommandError, ProcessLost) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read standard output has left; the interpreter must not try to flush to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> NoReturn:
    if not message.strip():
        # No command was named: the help has said what there is.
        sys.exit(BAD_INPUT)
    err.print(Text.assemble(("error: ", "bold red"), " ".join(message.split())))
    sys.exit(BAD_INPUT)


def _overrides(changes: list[str] | None, seed: int | None) -> list[str]:
    return [*(changes or []), *([] if seed is None else [f"seed={seed}"])]


def _window(text: str) -> str:
    begin, colon, end = text.partition(":")
    if not colon:
        raise CommandError(f"--trace-window: expected A:B in seconds, as in 10:12, found {text!r}")
    return f"[{begin},{end}]"


if __name__ == "__main__":
    main()
