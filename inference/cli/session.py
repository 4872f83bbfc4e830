"""What every command needs: the two consoles, progress on standard error, and one way to fail.

A failure a user can mend is an `InferenceError` or a `CommandError`; `app.main` prints it in one line and exits with 2.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Into a pipe tables are as wide as their cells need; a terminal says how wide it is.
PIPE_COLUMNS = 160

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
err = Console(stderr=True, soft_wrap=True, highlight=False)

Advance = Callable[[float], None]


class CommandError(Exception):
    """A command cannot do what was asked; the message says what is wrong and how to mend it."""


def announce(scenario: str, seed: int, *, as_json: bool) -> None:
    """The first line of a command's output: what reproduces it. Beside JSON it goes to standard error."""
    (err if as_json else out).print(Text(f"scenario {scenario}  seed {seed}"))


def print_json(text: str) -> None:
    """One JSON document to standard output, unwrapped and uncoloured."""
    sys.stdout.write(text + "\n")


def warn(message: str) -> None:
    """A line of caution to standard error."""
    err.print(Text.assemble(("warning: ", "yellow"), message))


@contextmanager
def share_done(what: str) -> Iterator[Advance]:
    """A bar for one long piece of work, told its share done from 0 to 1; nothing where no terminal looks on."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


@contextmanager
def pieces_done(what: str, total: int | None) -> Iterator[Advance]:
    """A bar for many pieces, told how many more are done; the total may be unknown (None)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)
