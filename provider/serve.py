"""The composition root: everything the provider is made of, put together and run until a signal."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from junctiond.api.client import HostClient
from provider import app, credentials, exporter, listener
from provider.limits import KEEP_ALIVE_S, SHUTDOWN_GRACE_S
from provider.measures import RequestMeasures

logger = logging.getLogger("provider")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a provider is told at its start.

    Attributes:
        host_socket: Unix socket of the host API.
        listen: `unix:PATH` or `tcp:HOST:PORT`.
        secrets_dir: folder of the two credential files; made where absent.
        metrics: `HOST:PORT` of the metrics listener; None for none. Where it is taken, the provider
            serves without it.
    """

    host_socket: Path
    listen: str
    secrets_dir: Path
    metrics: str | None = None


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        listener.ListenError: the API's address is malformed or taken.
        credentials.CredentialsError: the account cannot be read or made.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running(settings) as addresses:
        logger.info("listening", extra={"fields": {"on": addresses}})
        await stopped.wait()
    logger.info("stopped")


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[list[str]]:
    """A provider that accepts connections; yields its addresses, port 0 resolved, API first.

    Leaving it lets open requests end for `limits.SHUTDOWN_GRACE_S`. Raises as `serve` does.
    """
    account = credentials.ensure(settings.secrets_dir)
    measures, ending = RequestMeasures(), asyncio.Event()
    async with HostClient(settings.host_socket) as host:
        doors = [(settings.listen, app.build(host, account, measures, ending))]
        if settings.metrics is not None:
            doors.append((f"tcp:{settings.metrics}", exporter.build(host, measures)))
        sockets = _bind([address for address, _ in doors])
        doors = doors[: len(sockets)]
        servers = [_Server(_config(application)) for _, application in doors]
        addresses = [listener.shown(bound) for bound in sockets]
        async with asyncio.TaskGroup() as group:
            for server, bound in zip(servers, sockets, strict=True):
                group.create_task(server.serve([bound]))
            try:
                yield addresses
            finally:
                listener.forget(sockets[0])
                ending.set()
                for server in servers:
                    server.stop()


class _Server(uvicorn.Server):
    """A server that sleeps until there is something to do.

    Its signals belong to `serve`, since there are several in one process, and its main loop waits instead
    of looking ten times a second: an idle host should be idle.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopped = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self._stopped.wait()

    def stop(self) -> None:
        """End `serve`: no new connections, open requests may finish."""
        self.should_exit = True
        self._stopped.set()


class _Protocol(HttpToolsProtocol):
    """HTTP that first looks who is there."""

    def connection_made(self, transport: Any) -> None:
        if listener.peer_allowed(transport.get_extra_info("socket")):
            super().connection_made(transport)
        else:
            logger.warning("connection of another user refused")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:  # None where the connection was refused above
            super().connection_lost(exc)


def _config(application: ASGIApp) -> uvicorn.Config:
    # Its lines hold whole URLs, and so whatever a client put into a query; ours do not.
    logging.getLogger("uvicorn.access").disabled = True
    return uvicorn.Config(
        application,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
        date_header=False,  # `provider.access` dates answers without a timer
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
    )


def _bind(addresses: list[str]) -> list[socket.socket]:
    """The API's socket, and the one for metrics where its address is free: the API goes on without it."""
    api, *further = addresses
    sockets = [listener.bind(api)]
    try:
        sockets += [listener.bind(address) for address in further]
    except listener.ListenError as error:
        logger.warning(
            "no metrics page: %s; end what has that address, or name another one (metrics_listen of "
            "junctiond, --metrics of the provider) and start it again",
            error,
        )
    return sockets
