"""The ASGI application: the route table behind path cleaning, authentication and the access log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from junctiond.api.base import HostApi
from provider import reply, routes
from provider.access import AccessLog, note
from provider.auth import BasicAuth
from provider.call import Call
from provider.cleaning import CleanPath
from provider.credentials import Credentials
from provider.limits import BODY_BYTES_MAX
from provider.measures import RequestMeasures
from provider.reply import Refusal

Endpoint = Callable[[Request], Awaitable[Response]]

logger = logging.getLogger("provider")

# nginx's word for a client that left before its answer; it reaches the log only.
CLIENT_CLOSED: Final = 499


class _Segment(Convertor[str]):
    regex = "[-a-zA-Z_0-9.]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _SegmentOrEmpty(_Segment):
    regex = "[-a-zA-Z_0-9.]*"


register_url_convertor("segment", _Segment())
register_url_convertor("segment_or_empty", _SegmentOrEmpty())


def build(
    host: HostApi, credentials: Credentials, measures: RequestMeasures, ending: asyncio.Event
) -> ASGIApp:
    """The whole application over `host`.

    Args:
        host: the host API.
        credentials: the account of everything below /system and /ui.
        measures: collects the provider's own request metrics.
        ending: set when the provider stops.
    """
    table = [_route(host, entry, ending) for entry in routes.TABLE]
    handlers = {404: _no_route, 405: _wrong_method}
    inner = Starlette(routes=table, exception_handlers=handlers)
    # A path that ends in "/" is another path here, as in Go's mux, and never a redirect.
    inner.router.redirect_slashes = False
    return AccessLog(CleanPath(BasicAuth(inner, credentials)), measures)


def _route(host: HostApi, entry: routes.Entry, ending: asyncio.Event) -> Route:
    route = Route(entry.path, _endpoint(host, entry, ending), methods=[entry.method])
    # Starlette adds HEAD to every GET; Go's mux does not, and answers 405.
    route.methods = {entry.method}
    return route


def _endpoint(host: HostApi, entry: routes.Entry, ending: asyncio.Event) -> Endpoint:
    shown = entry.path.replace(":segment_or_empty", "").replace(":segment", "")

    async def endpoint(request: Request) -> Response:
        note(request.scope, route=shown)
        try:
            body = await _body(request) if entry.takes_body else b""
            query = dict(request.query_params)
            return await entry.handler(Call(host, body, request.path_params, query, ending))
        except Refusal as refusal:
            note(request.scope, reason=refusal.reason)
            return _refused(refusal)
        except ClientDisconnect:
            note(request.scope, reason="client_closed")
            return Response(status_code=CLIENT_CLOSED)
        except Exception:
            note(request.scope, reason="internal")
            logger.exception("handler failed", extra={"fields": {"route": shown}})
            return reply.error(500, "internal error of the provider: see its log")

    return endpoint


def _refused(refusal: Refusal) -> Response:
    answer = (
        reply.error(refusal.status, refusal.text) if refusal.text else reply.empty(refusal.status)
    )
    if refusal.status == 413:
        # The rest of the body is still on its way and nobody will read it.
        answer.headers["Connection"] = "close"
    return answer


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise Refusal(413, f"a request body may have {BODY_BYTES_MAX} bytes at most")
        chunks.append(chunk)
    return b"".join(chunks)


async def _no_route(request: Request, fault: Exception) -> Response:
    return reply.not_found()


async def _wrong_method(request: Request, fault: Exception) -> Response:
    return reply.empty(405)
