"""The second listener: `/metrics` and `/healthz` on port 8082, where OpenFaaS's Prometheus looks."""

import logging

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from junctiond.api.base import HostApi
from junctiond.errors import HostError
from provider import reply
from provider.measures import RequestMeasures, exposition
from provider.workings import SandboxTotals

logger = logging.getLogger("provider")


def build(host: HostApi, measures: RequestMeasures) -> Starlette:
    """The application of the metrics port."""
    totals = SandboxTotals()

    async def metrics(request: Request) -> Response:
        try:
            stats = await host.stats()
            functions = await host.list_functions(all_namespaces=True)
            body = exposition(measures, stats, functions, totals)
        except HostError as error:
            return reply.error(502, error.message)
        except msgspec.MsgspecError as error:
            logger.error("statistics of the data plane are unreadable: %s", error)
            return reply.error(500, f"unreadable statistics of the data plane: {error}")
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(request: Request) -> Response:
        return Response(b"OK", headers={"Content-Type": "text/plain; charset=utf-8"})

    async def no_route(request: Request, fault: Exception) -> Response:
        return reply.not_found()

    async def wrong_method(request: Request, fault: Exception) -> Response:
        return reply.empty(405)

    routes = [Route("/metrics", metrics), Route("/healthz", health)]
    for route in routes:
        route.methods = {"GET"}
    app = Starlette(routes=routes, exception_handlers={404: no_route, 405: wrong_method})
    app.router.redirect_slashes = False
    return app
