"""The table of commands of `jsim`."""

import math
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from inference.cli import listing, profile, provision, run, sweep
from inference.cli.session import CommandError, err
from inference.errors import InferenceError
from inference.models.explorer import Limits
from inference.sweep.processes import ProcessLost, cores

# What typer raises for a command line that cannot be: its parser's own class, which it has under two names.
UsageError: Any = typer.BadParameter.__mro__[2]

BATCH_MAX = 65_536
TOKENS_MAX = 10_000_000
"""Of `jsim profile`; as in scenarios."""

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


class SloKind(StrEnum):
    """Objectives that a search may be told."""

    SPLITWISE = "splitwise"
    CLASSES = "classes"


class Iso(StrEnum):
    """What a budget counts."""

    POWER = "power"
    COST = "cost"
    MACHINES = "machines"


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


@app.command("provision")
def provision_command(
    scenario: Scenario,
    changes: Set = None,
    seed: Seed = None,
    slo: Annotated[
        SloKind | None, typer.Option("--slo", help="Objectives, instead of the scenario's.")
    ] = None,
    low: Annotated[float, typer.Option("--low", help="Lowest rate, requests/s.")] = 10.0,
    high: Annotated[float, typer.Option("--high", help="Highest rate.")] = 200.0,
    step: Annotated[float, typer.Option("--step", help="Between two rates.")] = 5.0,
    iso: Annotated[
        Iso | None, typer.Option("--iso", help="Search splits within a budget of this.")
    ] = None,
    budget: Annotated[
        str,
        typer.Option("--budget", metavar="N|COUNTxGPU", help="The scenario's own if not said."),
    ] = "",
    around: Annotated[
        int,
        typer.Option("--around", min=0, help="Only splits so near the scenario's; 0: all."),
    ] = 0,
    at_rate: Annotated[
        float, typer.Option("--at-rate", min=0.0, help="Search the least split at this rate.")
    ] = 0.0,
    probes: Annotated[int, typer.Option("--probes", min=1, help="Rates tried at a time.")] = 2,
    confirm: Annotated[
        int, typer.Option("--confirm", min=0, help="Neighbouring rates tried too.")
    ] = 1,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Find the highest rate under the objectives, or the best split of a budget."""
    overrides = _overrides(changes, seed)
    if slo is not None:
        overrides.append(f"slo.kind={slo.value}")
    rates = provision.grid_of(low, high, step) if not at_rate else (at_rate,)
    search = provision.Search(
        scenario, tuple(overrides), rates, probes, confirm, jobs or cores(), json
    )
    if at_rate:
        provision.provision_cheapest(search, (iso or Iso.MACHINES).value, at_rate, budget)
    elif iso is not None:
        provision.provision_splits(search, iso.value, budget, around)
    else:
        provision.provision(search)


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder that `jsim run --out` wrote.")],
    json: Json = False,
    html: Annotated[bool, typer.Option("--html/--no-html", help="Write its page too.")] = True,
) -> None:
    """Print the figures of an earlier run again, and write its page."""
    run.report(folder, as_json=json, html=html)


@app.command("profile")
def profile_command(
    model: Annotated[str, typer.Argument(help="A model, as llama2-70b.")],
    gpu: Annotated[str, typer.Argument(help="A GPU, as h100-80gb.")],
    tps: Annotated[
        list[int] | None, typer.Option("--tp", min=1, help="Tensor parallelism; repeat.")
    ] = None,
    batches: Annotated[
        list[int] | None,
        typer.Option("--batch", min=1, max=BATCH_MAX, help="Requests at once; repeat."),
    ] = None,
    prompt_tokens: Annotated[
        int, typer.Option("--prompt", min=1, max=TOKENS_MAX, help="Tokens.")
    ] = 1024,
    output_tokens: Annotated[
        int, typer.Option("--output", min=1, max=TOKENS_MAX, help="Tokens.")
    ] = 128,
    ttft_ms: Annotated[float, typer.Option("--ttft-ms", min=0, help="Limit.")] = math.inf,
    tbt_ms: Annotated[float, typer.Option("--tbt-ms", min=0, help="Limit.")] = math.inf,
    e2e_ms: Annotated[float, typer.Option("--e2e-ms", min=0, help="Limit.")] = math.inf,
    by: Annotated[str, typer.Option("--by", help="Column to be least.")] = "energy_j_per_token",
    folder: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Folder for CSV and plot.")
    ] = None,
    json: Json = False,
) -> None:
    """Explore what batch, TP and clock cost and give, and find the cheapest setting."""
    question = profile.Question(
        model=model,
        gpu=gpu,
        tps=tuple(tps or ()),
        batches=tuple(batches or (1, 4, 16, 64)),
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        limits=Limits(ttft_ms, tbt_ms, e2e_ms),
        by=by,
    )
    profile.profile(question, folder, as_json=json)


@app.command("scenarios")
def scenarios_command(
    name: Annotated[
        str, typer.Argument(help="Show every key of this one, with the file that sets it.")
    ] = "",
    json: Json = False,
) -> None:
    """List the scenarios that come with the product, or the keys of one."""
    if name:
        listing.show_scenario(name, as_json=json)
    else:
        listing.list_scenarios(as_json=json)


@app.command("keys")
def keys_command(
    prefix: Annotated[str, typer.Argument(help="Only keys that begin so, as in trace.")] = "",
    json: Json = False,
) -> None:
    """List what a scenario file may say: every key with its values, default and meaning."""
    listing.list_keys(prefix, as_json=json)


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
