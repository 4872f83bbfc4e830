"""What every command needs: the settings, a connection to the daemon, and one way to fail.

A failure a user can meet is a `CommandError` with the mend in it; `app.main` prints it and exits with 1.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.measure import Measurement

from junctiond.api.client import HostClient
from junctiond.errors import HostError, Reason
from junctiond.settings import Settings, load

Answer = TypeVar("Answer")

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


class CommandError(Exception):
    """A command cannot do what was asked.

    Attributes:
        message: what is wrong.
        mend: what to do about it; empty where the message says so already.
    """

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend


def settings_of(config: Path | None = None, **explicit: object) -> Settings:
    """The settings a command works with; raises `SettingsError` like `junctiond.settings.load`."""
    return load(file=config, environment=os.environ, **explicit)


def ask(settings: Settings, question: Callable[[HostClient], Awaitable[Answer]]) -> Answer:
    """Runs one conversation with the daemon to its end.

    Raises:
        CommandError: the daemon does not answer, or refuses.
    """

    async def converse() -> Answer:
        async with HostClient(settings.host_socket) as host:
            return await question(host)

    try:
        return asyncio.run(converse())
    except HostError as error:
        raise explain(error, settings) from error


def explain(error: HostError, settings: Settings) -> CommandError:
    """A host's error in words for a person at a terminal."""
    if error.reason is not Reason.HOST_UNAVAILABLE:
        return CommandError(error.message)
    socket = settings.host_socket
    if socket.exists() and not os.access(socket, os.R_OK | os.W_OK):
        return CommandError(f"{socket} belongs to root", "run the command as root (sudo)")
    return CommandError(
        f"no junctiond answers on {socket}",
        "start it with `junctiond up`, or name its run directory with --run-dir",
    )


WIDTH_MAX = 200
"""Columns a table may take where the terminal has fewer."""


def print_rows(rows: RenderableType) -> None:
    """Prints tables as wide as their rows are. A narrow terminal wraps a line, which reads better than cells cut to three letters."""
    narrow = out.width
    natural = Measurement.get(out, out.options.update(max_width=WIDTH_MAX), rows).maximum
    out.width = max(narrow, natural)
    try:
        out.print(rows)
    finally:
        out.width = narrow


def print_json(encoded: bytes) -> None:
    """Writes one JSON document and a newline to standard output, unwrapped and uncoloured."""
    out.out(encoded.decode(), highlight=False)
