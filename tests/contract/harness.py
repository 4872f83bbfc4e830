"""The real provider over the fake host, on real sockets, in a thread of its own.

Tests stay ordinary blocking code, as the clients that the provider serves are, and may steer the fake host
through `do()` while requests are under way.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvloop

from junctiond.testing.fake_host import FakeHost, serve_fake_host
from provider.credentials import Credentials, load
from provider.serve import Settings, running

T = TypeVar("T")
START_TIMEOUT_S = 20.0
CALL_TIMEOUT_S = 10.0


@dataclass
class Gateway:
    """A provider that runs, its account and the fake host behind it."""

    url: str
    metrics_url: str
    secrets_dir: Path
    host: FakeHost
    host_socket: Path
    loop: asyncio.AbstractEventLoop = field(repr=False)

    @property
    def account(self) -> Credentials:
        return load(self.secrets_dir)

    def client(self, **options: Any) -> httpx.Client:
        """A client with the account and no environment proxies."""
        options.setdefault("auth", (self.account.user, self.account.password))
        return httpx.Client(base_url=self.url, trust_env=False, timeout=CALL_TIMEOUT_S, **options)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop of the fake host."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(CALL_TIMEOUT_S)


@contextmanager
def gateway(folder: Path) -> Iterator[Gateway]:
    """Start fake host and provider; stop both on leaving."""
    started: Future[Gateway] = Future()
    stop: Future[asyncio.Event] = Future()
    thread = threading.Thread(target=_run, args=(folder, started, stop), daemon=True)
    thread.start()
    found = started.result(START_TIMEOUT_S)
    try:
        yield found
    finally:
        found.loop.call_soon_threadsafe(stop.result(0).set)
        thread.join(START_TIMEOUT_S)
        assert not thread.is_alive(), "the provider did not stop"


def _run(folder: Path, started: "Future[Gateway]", stop: "Future[asyncio.Event]") -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(folder, started, stop))
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise


async def _serve(folder: Path, started: "Future[Gateway]", stop: "Future[asyncio.Event]") -> None:
    stopped = asyncio.Event()
    stop.set_result(stopped)
    host_socket = folder / "host.sock"
    settings = Settings(host_socket, "tcp:127.0.0.1:0", folder / "secrets", "127.0.0.1:0")
    async with serve_fake_host(host_socket) as host, running(settings) as addresses:
        api, metrics = (address.replace("tcp:", "http://", 1) for address in addresses)
        loop = asyncio.get_running_loop()
        started.set_result(Gateway(api, metrics, settings.secrets_dir, host, host_socket, loop))
        await stopped.wait()
