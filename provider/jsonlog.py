"""Log records as lines of JSON on standard error: time, level, logger, event and its fields."""

import json
import logging
import sys
from typing import Final

from provider import gotime

_LEVELS: Final = {"DEBUG": "debug", "INFO": "info", "WARNING": "warn", "ERROR": "error"}


class JsonFormatter(logging.Formatter):
    """One line for each record; `extra={"fields": {…}}` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one JSON object."""
        members: dict[str, object] = {
            "t": gotime.written(int(record.created * 1e6) * 1000),
            "level": _LEVELS.get(record.levelname, record.levelname.lower()),
            "logger": record.name,
            "event": record.getMessage(),
        }
        members |= getattr(record, "fields", {})
        if record.exc_info:
            members["error"] = self.formatException(record.exc_info)
        return json.dumps(members, default=str)


def install(level: int = logging.INFO) -> None:
    """Send every log record of this process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Its notices of every start and stop say nothing that our own lines do not.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
