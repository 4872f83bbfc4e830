"""Ends that clean up: SIGTERM unwinds the stack as Ctrl-C does, and failures are one line."""

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text


def run(app: typer.Typer, failures: tuple[type[Exception], ...]) -> None:
    """Runs a command line; what a user can mend (`failures`) is one line and exit status 1."""
    unwind_on_sigterm()
    try:
        app()
    except failures as error:
        Console(stderr=True, soft_wrap=True).print(
            Text.assemble(("error: ", "bold red"), str(error))
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def unwind_on_sigterm() -> None:
    """Turns SIGTERM into KeyboardInterrupt, so that every `with` block of the program is left in order."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
