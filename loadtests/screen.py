"""Standard output of the measurements: tables keep their shape in files and pipes, which say nothing of their width."""

import sys

from rich.console import Console


def screen(columns: int = 200) -> Console:
    """A console as wide as the terminal; `columns` where standard output is none."""
    width = None if sys.stdout.isatty() else columns
    return Console(highlight=False, soft_wrap=True, width=width)
