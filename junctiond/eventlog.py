"""Structured logging: one JSON object per line on standard error.

`logger.info("jnetd started", extra={"fields": {"pid": 1}})`. Fields are named by the caller, one by one, so that no
environment value and no secret gets into a log by way of a dumped object.
"""

import logging
import sys
from typing import IO

import msgspec


class JsonLines(logging.Formatter):
    """Formats a record as one JSON line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        fields = getattr(record, "fields", None)
        line: dict[str, object] = {
            "t": int(record.created * 1e9),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **(fields if isinstance(fields, dict) else {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure(stream: IO[str] | None = None, level: int = logging.INFO) -> None:
    """Sends every logger of this process to `stream` (standard error) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # What no line shows need not be found out for each (logging's HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
