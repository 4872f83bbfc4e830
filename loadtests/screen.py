"""Standard output of the measurements: tables keep their shape in files and pipes, which say nothing of their width."""

import sys
from collections.abc import Sequence

from rich.console import Console

from loadtests import table
from loadtests.mark import Mark


def screen(columns: int = 200) -> Console:
    """A console as wide as the terminal; `columns` where standard output is none."""
    width = None if sys.stdout.isatty() else columns
    return Console(highlight=False, soft_wrap=True, width=width)


def cautions(out: Console, busy: int, found: Sequence[Mark], of: str) -> None:
    """What a reader of a run must know: how many `of` its parts began on a busy machine, what failed or was disturbed."""
    if busy:
        out.print(f"{busy} {of} began on a busy machine: repeat on a quiet one", style="yellow")
    if found:
        out.print(table.marks(found))
