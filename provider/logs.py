"""Function logs as newline-delimited JSON, one flush a line, followed without a time limit.

The stream ends when the function is deleted, when the client goes (its gRPC call is cancelled at once, also
while the function is silent), or at the end of the log without `follow`. A restart of the daemon does not end
it: the reader asks again from the last line it delivered.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from junctiond.api.base import HostApi
from junctiond.domain import LogQuery, LogRecord
from junctiond.errors import HostError, Reason
from provider import faults, gotime, names
from provider.call import Call
from provider.limits import LOG_RETRY_MS_FIRST, LOG_RETRY_MS_MAX, LOG_WINDOW_S
from provider.reply import Refusal

_ENCODER: Final = msgspec.json.Encoder()
_INT64_MAX: Final = 2**63 - 1
_INT_CHARS_MAX: Final = 20
_BAD_QUERY: Final = "could not parse the log request"
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True", "on"})
_HEADERS: Final = {"Content-Type": "application/x-ndjson", "Connection": "Keep-Alive"}


async def get_logs(call: Call) -> Response:
    """GET /system/logs: what a function wrote; an unknown function has written nothing."""
    query = parse(call.query, time.time_ns())
    names.checked_namespace(query.namespace)
    try:
        # Asked first, since a stream cannot change its status once its headers are out.
        with faults.about(*names.known(names.FunctionRef(query.name, query.namespace))):
            await call.host.get(query.name, query.namespace)
    except Refusal as refusal:
        if refusal.status == 404:
            return Response(headers=_HEADERS)
        raise
    return LogStream(call.host, query, call.ending)


def parse(query: dict[str, str], now_ns: int) -> LogQuery:
    """The log query of a request.

    `tail` without `since` reaches back as far as the log goes; neither means the last five minutes.

    Raises:
        Refusal: 422 where `tail` is no number or `since` no RFC 3339 time.
    """
    found = names.resolve(query.get("name", ""), query=query.get("namespace", ""))
    try:
        tail = _int64(query.get("tail", ""))
        since = query.get("since", "")
        since_ns = max(1, min(gotime.read(since), _INT64_MAX)) if since else 0
    except (ValueError, OverflowError):
        raise Refusal(422, _BAD_QUERY) from None
    if not since and tail <= 0:
        since_ns = max(0, now_ns - LOG_WINDOW_S * gotime.NS_PER_S)
    return LogQuery(
        name=found.name,
        namespace=found.namespace,
        instance=query.get("instance", ""),
        since_ns=since_ns,
        tail=max(0, tail),
        follow=query.get("follow", "") in _TRUE,
    )


def line(record: LogRecord) -> bytes:
    """One record as a line of the API's log format."""
    shown = {
        "name": record.name,
        "namespace": record.namespace,
        "instance": record.instance,
        "timestamp": gotime.written(record.timestamp_ns),
        "text": record.text,
    }
    return _ENCODER.encode(shown) + b"\n"


class LogStream(Response):
    """An answer that goes on until its log, its function, its client or the provider ends."""

    def __init__(self, host: HostApi, query: LogQuery, ending: asyncio.Event) -> None:
        super().__init__(headers=_HEADERS)
        # A stream has no length; uvicorn then sends it in chunks.
        del self.headers["content-length"]
        self._host = host
        self._query = query
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers at once, then the lines as they are written."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._pump(send)),
                group.create_task(_disconnected(receive)),
                group.create_task(_set(self._ending)),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        # Where the pump was cut short this ends the body; where the client is gone nobody hears it.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        async with aclosing(records(self._host, self._query)) as lines:
            async for record in lines:
                body = line(record)
                await send({"type": "http.response.body", "body": body, "more_body": True})


async def records(host: HostApi, query: LogQuery) -> AsyncGenerator[LogRecord, None]:
    """The records of `query`; with `follow` also across restarts of the daemon."""
    place = _Place(query)
    wait_ms = LOG_RETRY_MS_FIRST
    while True:
        try:
            async with aclosing(host.logs(place.query())) as stream:  # type: ignore[type-var]
                async for record in stream:
                    if place.advance(record):
                        yield record
                    wait_ms = LOG_RETRY_MS_FIRST
            return
        except HostError as error:
            if not query.follow or error.reason is not Reason.HOST_UNAVAILABLE:
                return
        await asyncio.sleep(wait_ms / 1000)
        wait_ms = min(2 * wait_ms, LOG_RETRY_MS_MAX)


class _Place:
    """How far a reader has come, so that a second query neither repeats nor skips a line."""

    def __init__(self, query: LogQuery) -> None:
        self._first = query
        self._last_ns = 0
        self._at_last = 0
        self._to_skip = 0

    def query(self) -> LogQuery:
        """The query that goes on from here; lines of the last instant come again and are skipped."""
        self._to_skip = self._at_last
        if not self._last_ns:
            return self._first
        return replace(self._first, since_ns=self._last_ns, tail=0)

    def advance(self, record: LogRecord) -> bool:
        """Whether `record` is news."""
        if record.timestamp_ns == self._last_ns and self._to_skip > 0:
            self._to_skip -= 1
            return False
        if record.timestamp_ns > self._last_ns:
            self._last_ns, self._at_last, self._to_skip = record.timestamp_ns, 0, 0
        if record.timestamp_ns == self._last_ns:
            self._at_last += 1
        return True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _int64(text: str) -> int:
    if len(text) > _INT_CHARS_MAX:
        raise ValueError("too many digits")
    return max(-_INT64_MAX, min(int(text), _INT64_MAX)) if text else 0
