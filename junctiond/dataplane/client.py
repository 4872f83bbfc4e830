"""The client of jnetd's control socket: connects, tells the whole state, asks, hears events; and again after a loss.

The client remembers every function it was given. A new connection may lead to a new jnetd that knows nothing, or to
one that served on while this daemon was away: both get the whole state, and what they know beyond it is deleted.
"""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from junctiond.dataplane import protocol
from junctiond.dataplane.base import DataplaneError, DataplaneLost, Listener
from junctiond.dataplane.protocol import (
    AttachedSandbox,
    FrameReader,
    Function,
    Hello,
    Platform,
    ProtocolError,
    Reply,
)

logger = logging.getLogger(__name__)

REPLY_TIMEOUT_S = 10.0
"""For what jnetd answers at once; waits of probe and drain come on top."""
RECONNECT_S_FIRST = 0.01
RECONNECT_S_MAX = 0.5
READ_BYTES = 65_536

T = TypeVar("T")


class _Functions(msgspec.Struct, frozen=True):
    functions: tuple[Function, ...] = ()


class _Sandboxes(msgspec.Struct, frozen=True):
    sandboxes: tuple[AttachedSandbox, ...] = ()


class _Probe(msgspec.Struct, frozen=True):
    status: int | None = None


class _Drain(msgspec.Struct, frozen=True):
    in_flight: int = 0


class DataplaneClient:
    """`Dataplane` over RUN/control.sock. `run` keeps the connection; the other methods use it."""

    def __init__(self, socket: Path, platform: Platform) -> None:
        self._socket = socket
        self._platform = platform
        self._functions: dict[tuple[str, str], Function] = {}
        self._pending: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        self._writer: asyncio.StreamWriter | None = None
        self._hello: Hello | None = None
        self._connections = 0

    @property
    def hello(self) -> Hello | None:
        """See `Dataplane`."""
        return self._hello

    async def run(self, listener: Listener) -> None:
        """See `Dataplane`."""
        pause_s = RECONNECT_S_FIRST
        while True:
            connected_before = self._connections
            try:
                await self._serve(listener)
            except* (OSError, ProtocolError, DataplaneLost, DataplaneError) as errors:
                cause = str(errors.exceptions[0])
                logger.debug("no data plane", extra={"fields": {"error": cause}})
            if self._connections > connected_before:
                pause_s = RECONNECT_S_FIRST
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_S_MAX)

    async def set_platform(self, platform: Platform) -> None:
        """See `Dataplane`."""
        if platform == self._platform:
            return
        self._platform = platform
        if self._hello is not None:
            with contextlib.suppress(DataplaneLost):
                await self._tell_platform()

    async def put_function(self, function: Function) -> None:
        """See `Dataplane`."""
        self._functions[function.namespace, function.name] = function
        if self._hello is not None:
            with contextlib.suppress(DataplaneLost):
                await self._put(function)

    async def delete_function(self, namespace: str, name: str) -> None:
        """See `Dataplane`."""
        self._functions.pop((namespace, name), None)
        if self._hello is not None:
            with contextlib.suppress(DataplaneLost):
                await self._delete(namespace, name)

    async def probe(self, sandbox: str, port: int, path: str | None, timeout_ms: int) -> int | None:
        """See `Dataplane`."""
        fields: dict[str, Any] = {"sandbox": sandbox, "port": port, "timeout_ms": timeout_ms}
        if path is not None:
            fields["path"] = path
        return (await self._ask("probe", _Probe, timeout_ms / 1e3, **fields)).status

    async def drain(self, sandbox: str, timeout_ms: int) -> int:
        """See `Dataplane`."""
        fields: dict[str, Any] = {"sandbox": sandbox, "timeout_ms": timeout_ms}
        return (await self._ask("drain", _Drain, timeout_ms / 1e3, **fields)).in_flight

    async def sandboxes(self) -> list[AttachedSandbox]:
        """See `Dataplane`."""
        return list((await self._ask("list_sandboxes", _Sandboxes)).sandboxes)

    async def put_wake_policy(self, sandbox: str, spin_us: int) -> None:
        """See `Dataplane`."""
        await self._ask("put_wake_policy", dict, sandbox=sandbox, spin_us=spin_us)

    async def stats_json(self) -> str:
        """See `Dataplane`."""
        return bytes(await self._ask("stats", msgspec.Raw)).decode()

    # The connection.

    async def _serve(self, listener: Listener) -> None:
        """One connection, from the first word until it breaks."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        self._writer = writer
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(reader, listener))
                listener.dataplane_connected(await self._introduce())
        finally:
            self._lose(listener)
            writer.close()

    async def _introduce(self) -> list[AttachedSandbox]:
        """Tells a jnetd everything; the sandboxes that it has."""
        hello = await self._ask("hello", Hello, protocol=protocol.PROTOCOL, client="junctiond")
        await self._tell_platform()
        known = (await self._ask("list_functions", _Functions)).functions
        for function in known:
            if (function.namespace, function.name) not in self._functions:
                await self._delete(function.namespace, function.name)
        # From here on put_function sends by itself; what it put before is sent here, the newest value.
        self._hello = hello
        self._connections += 1
        for function in list(self._functions.values()):
            await self._put(self._functions.get((function.namespace, function.name), function))
        attached = await self.sandboxes()
        logger.info("data plane connected", extra={"fields": {"pid": hello.pid}})
        return attached

    def _lose(self, listener: Listener) -> None:
        self._writer = None
        was_connected, self._hello = self._hello is not None, None
        pending, self._pending = self._pending, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(DataplaneLost("the connection to jnetd broke"))
        if was_connected:
            logger.warning("data plane lost")
            listener.dataplane_lost()

    async def _read(self, reader: asyncio.StreamReader, listener: Listener) -> None:
        frames = FrameReader()
        while data := await reader.read(READ_BYTES):
            for body in frames.feed(data):
                message = protocol.decode_message(body)
                if isinstance(message, Reply):
                    future = self._pending.pop(message.id, None)
                    if future is not None and not future.done():
                        future.set_result(message)
                elif message is not None:
                    listener.dataplane_event(message)
        raise DataplaneLost("jnetd closed the connection")

    # Requests.

    async def _tell_platform(self) -> None:
        await self._ask("set_platform", dict, **msgspec.structs.asdict(self._platform))

    async def _put(self, function: Function) -> None:
        await self._ask("put_function", dict, **msgspec.structs.asdict(function))

    async def _delete(self, namespace: str, name: str) -> None:
        try:
            await self._ask("delete_function", dict, name=name, namespace=namespace)
        except DataplaneError as error:
            if error.code != "unknown_function":
                raise

    async def _ask(self, op: str, kind: type[T], wait_s: float = 0.0, **fields: Any) -> T:
        writer = self._writer
        if writer is None:
            raise DataplaneLost("there is no connection to jnetd")
        self._number += 1
        number = self._number
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        self._pending[number] = future
        # A timer by hand: a timeout of asyncio's and a drain cost more than all the rest of a request. What waits to be written
        # is bounded by who waits for its answer.
        timer = loop.call_later(wait_s + REPLY_TIMEOUT_S, self._expire, number, op)
        try:
            writer.write(protocol.encode_request(number, op, **fields))
            reply = await future
        except OSError as error:
            raise DataplaneLost(f"jnetd is gone: {error}") from error
        finally:
            timer.cancel()
            self._pending.pop(number, None)
        return _result(reply, kind)

    def _expire(self, number: int, op: str) -> None:
        future = self._pending.pop(number, None)
        if future is not None and not future.done():
            future.set_exception(DataplaneLost(f"jnetd did not answer {op} in time"))


def _result(reply: Reply, kind: type[T]) -> T:
    if reply.error is not None:
        raise DataplaneError(reply.error.code, reply.error.message)
    try:
        return msgspec.json.decode(reply.ok, type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"jnetd answered what is no answer: {error}") from error
