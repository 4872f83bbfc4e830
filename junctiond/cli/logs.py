"""`junctiond logs`: what the replicas of a function wrote."""

from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime

import msgspec
from rich.text import Text

from junctiond.api.client import HostClient
from junctiond.cli import shown
from junctiond.cli.session import CommandError
from junctiond.domain import DEFAULT_NAMESPACE, LogQuery, LogRecord
from junctiond.limits import go_duration_ns


def split_name(text: str) -> tuple[str, str]:
    """Name and namespace of NAME or NAME.NAMESPACE, as invocation URLs spell it."""
    name, _, namespace = text.partition(".")
    return name, namespace or DEFAULT_NAMESPACE


def parse_since(text: str, now_ns: int) -> int:
    """The Unix nanoseconds of "5m", "1h30m" (that long ago), or of an RFC 3339 time.

    Raises:
        CommandError: it is neither.
    """
    if not text:
        return 0
    ago_ns = go_duration_ns(text)
    if ago_ns is not None and ago_ns >= 0:
        return max(0, now_ns - ago_ns)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--since {text!r} is no time", "write for example 5m, 1h30m or 2026-01-31T12:00:00Z"
        ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp()) * 1_000_000_000 + aware.microsecond * 1000


async def read(host: HostClient, query: LogQuery, write: Callable[[LogRecord], None]) -> None:
    """Hands each record on as it comes; ends with the function's log, or never when following."""
    async with aclosing(host.logs(query)) as records:
        async for record in records:
            write(record)


def encode(record: LogRecord) -> bytes:
    """One record as one line of JSON."""
    return msgspec.json.encode(record)


def line(record: LogRecord, *, times: bool) -> Text:
    """One record as a line: time, replica, text; what went to standard error in red."""
    text = Text()
    if times:
        text.append(f"{shown.timestamp(record.timestamp_ns)} ", style="dim")
        text.append(f"{record.instance} ", style="cyan")
    # Control characters of a guest must not reach the terminal: they could rewrite what is on it.
    text.append(shown.printable(record.text), style="red" if record.stream == "stderr" else "")
    return text
