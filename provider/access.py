"""One structured log line for each request, and the call id that ties it to an answer.

The line has the call id, method, route, status and duration; never a body, a query, a header or a path
that was not asked of a known route, since those may carry secrets.
"""

import logging
import time
import uuid
from email.utils import formatdate
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provider.limits import CALL_ID_CHARS_MAX
from provider.measures import RequestMeasures

logger = logging.getLogger("provider.access")

_NOTES: Final = "provider.notes"
_NO_ROUTE: Final = "-"
_NOT_ANSWERED: Final = 499


class AccessLog:
    """ASGI middleware: call id, log line and request metrics of every request."""

    def __init__(self, app: ASGIApp, measures: RequestMeasures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request and log it once it is answered, or once its client is gone."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call_id = call_id_of(Headers(scope=scope).get("x-call-id", ""))
        notes: dict[str, str] = {}
        scope[_NOTES] = notes
        status = _NOT_ANSWERED
        started_ns = time.monotonic_ns()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["Date"] = formatdate(usegmt=True)
                headers["X-Call-Id"] = call_id
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            duration_ns = time.monotonic_ns() - started_ns
            route = notes.get("route", _NO_ROUTE)
            self._measures.observe(scope["method"], route, status, duration_ns)
            fields = {"call_id": call_id, "method": scope["method"], "route": route}
            fields |= {"status": status, "duration_us": duration_ns // 1000}
            logger.info("request", extra={"fields": fields | notes})


def note(scope: Scope, **facts: str) -> None:
    """Add facts about a request to its log line."""
    scope.get(_NOTES, {}).update(facts)


def call_id_of(sent: str) -> str:
    """The client's own call id where it is printable ASCII of a sane length, else a new one."""
    if sent and len(sent) <= CALL_ID_CHARS_MAX and sent.isascii() and sent.isprintable():
        return sent
    return str(uuid.uuid4())
