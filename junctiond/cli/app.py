"""The table of commands of `junctiond`."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from junctiond.api.client import HostClient
from junctiond.cli import check as checking
from junctiond.cli import counters, logs, machine, processes, start, stop
from junctiond.cli.demo import become_demo
from junctiond.cli.features import judge, sufficient
from junctiond.cli.session import (
    CommandError,
    ask,
    err,
    explain,
    out,
    print_json,
    print_rows,
    settings_of,
)
from junctiond.domain import HostStats, LogQuery
from junctiond.errors import HostError
from junctiond.settings import SettingsError
from junctiond.version import commit
from junctiond.version import version as release

app = typer.Typer(
    name="junctiond",
    help="Runs functions in sandboxes without a kernel network, behind the OpenFaaS API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings.", dir_okay=False)
]
RunDir = Annotated[
    Path | None, typer.Option("--run-dir", help="Sockets of the running host.", file_okay=False)
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir", help="What outlives a reboot: functions, layers, logs.", file_okay=False
    ),
]
Listen = Annotated[
    str | None,
    typer.Option("--listen", metavar="ADDRESS:PORT", help="Where functions are invoked."),
]
Placement = Annotated[
    str | None,
    typer.Option(
        "--placement", metavar="latency|balanced|eco|off", help="What cores are chosen for."
    ),
]
Cores = Annotated[
    str | None, typer.Option("--cores", metavar="LIST", help="Cores to use, as in 0,2-3.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def up(
    state_dir: StateDir = None,
    run_dir: RunDir = None,
    listen: Listen = None,
    placement: Placement = None,
    cores: Cores = None,
    config: Config = None,
    detach: Annotated[
        bool, typer.Option("--detach/--foreground", "-d", help="Return when ready; log to a file.")
    ] = False,
) -> None:
    """Run the host: daemon, data plane, provider, and every deployed function."""
    settings = settings_of(
        config,
        state_dir=state_dir,
        run_dir=run_dir,
        listen=listen,
        placement=placement,
        cores=cores,
    )
    if detach:
        given = {
            "--state-dir": state_dir,
            "--run-dir": run_dir,
            "--listen": listen,
            "--placement": placement,
            "--cores": cores,
            "--config": config,
        }
        arguments = [part for key, value in given.items() if value for part in (key, str(value))]
        start.detached(settings, arguments)
    else:
        raise typer.Exit(start.foreground(settings))


@app.command()
def down(run_dir: RunDir = None, config: Config = None) -> None:
    """Stop everything; deployed functions come back with the next `up`."""
    settings = settings_of(config, run_dir=run_dir)
    if not stop.down(settings, out.print):
        raise CommandError(f"nothing runs in {settings.run_dir}", "name another one with --run-dir")
    out.print("stopped")


@app.command()
def check(listen: Listen = None, config: Config = None, json: Json = False) -> None:
    """Tell which features this machine has, why not, and the mend. Exits with 1 if a required one is off."""
    features = judge(machine.read(settings_of(config, listen=listen)))
    if json:
        print_json(checking.encode(features))
    else:
        out.print(checking.table(features))
    if not sufficient(features):
        raise typer.Exit(1)


@app.command()
def ps(run_dir: RunDir = None, config: Config = None, json: Json = False) -> None:
    """List functions and their sandboxes."""
    functions, sandboxes = ask(settings_of(config, run_dir=run_dir), processes.read)
    if json:
        print_json(processes.encode(functions, sandboxes))
    elif not functions and not sandboxes:
        out.print("no functions; deploy one: faas-cli deploy --name NAME --image IMAGE")
    else:
        print_rows(processes.table(functions, sandboxes, time.time_ns()))


@app.command(name="logs")
def show_logs(
    name: Annotated[str, typer.Argument(help="NAME or NAME.NAMESPACE")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
    since: Annotated[str, typer.Option(help="5m, 1h30m, or an RFC 3339 time.")] = "",
    tail: Annotated[int, typer.Option(min=0, help="Newest N lines; 0: all.")] = 0,
    times: Annotated[bool, typer.Option("--times/--no-times", help="Time and replica.")] = True,
    run_dir: RunDir = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print what a function wrote."""
    function, namespace = logs.split_name(name)
    since_ns = logs.parse_since(since, time.time_ns())
    query = LogQuery(function, namespace, since_ns=since_ns, tail=tail, follow=follow)

    async def converse(host: HostClient) -> None:
        if json:
            await logs.read(host, query, lambda record: print_json(logs.encode(record)))
        else:
            await logs.read(host, query, lambda one: out.print(logs.line(one, times=times)))

    ask(settings_of(config, run_dir=run_dir), converse)


@app.command()
def stats(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between readings.")] = 2.0,
    run_dir: RunDir = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show invocations, latencies, CPU and memory per function, and the data plane's counters."""
    settings = settings_of(config, run_dir=run_dir)

    def read() -> counters.Reading:
        async def question(host: HostClient) -> HostStats:
            return await host.stats()

        return counters.parse(ask(settings, question), time.time_ns())

    now, earlier = read(), None
    if not watch:
        _show_stats(counters.view(now), as_json=json)
        return
    if json:
        while True:
            _show_stats(counters.view(now, earlier), as_json=True)
            time.sleep(every)
            now, earlier = read(), now
    with Live(counters.render(counters.view(now)), console=out, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            now, earlier = read(), now
            live.update(counters.render(counters.view(now, earlier)), refresh=True)


def _show_stats(view: counters.View, *, as_json: bool) -> None:
    if as_json:
        print_json(counters.encode(view))
    else:
        print_rows(counters.render(view))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def demo(context: typer.Context) -> None:
    """Deploy the sample functions on a host of its own, and measure them beside veth and bridge."""
    become_demo(context.args)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(f"{release()} ({commit()})")


def main() -> None:
    """Runs the command line; failures a user can mend are one line and exit status 1."""
    try:
        app()
    except (CommandError, SettingsError, HostError) as error:
        _fail(error, err)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _fail(error: CommandError | SettingsError | HostError, console: Console) -> None:
    if isinstance(error, HostError):
        error = explain(error, settings_of())
    # Text and no markup: messages quote what others wrote.
    console.print(Text.assemble(("error: ", "bold red"), str(error)))
    if isinstance(error, CommandError) and error.mend:
        console.print(Text.assemble(("mend:  ", "bold"), error.mend))
    sys.exit(1)


if __name__ == "__main__":
    main()
