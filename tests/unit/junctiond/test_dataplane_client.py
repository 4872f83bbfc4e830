"""Goal: the client keeps jnetd told of everything, over losses. Method: a small jnetd that speaks the real frames."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.dataplane import protocol
from junctiond.dataplane.base import DataplaneError, DataplaneLost
from junctiond.dataplane.client import DataplaneClient
from junctiond.dataplane.process import Backoff
from junctiond.dataplane.protocol import (
    Egress,
    FrameReader,
    Function,
    FunctionSettings,
    Platform,
    ProtocolError,
    Replica,
)

PLATFORM = Platform(
    gateway="10.62.0.1", gateway_port=8080, dns_upstreams=(), hosts={}, egress=Egress(True)
)
FUNCTION = Function("f", "n", FunctionSettings(), (Replica("s", 80),))


@dataclass
class SmallJnetd:
    """Answers as docs/protocols.md says; keeps what it was told."""

    socket: Path
    functions: dict[tuple[str, str], Any] = field(default_factory=dict)
    platform: Any = None
    silent: set[str] = field(default_factory=set)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        frames = FrameReader()
        while data := await reader.read(65_536):
            for body in frames.feed(data):
                request = msgspec.json.decode(body)
                if request["op"] not in self.silent:
                    self.answer(writer, request)
        writer.close()

    def answer(self, writer: asyncio.StreamWriter, request: dict[str, Any]) -> None:
        op = request["op"]
        if op in self.errors:
            send(writer, {"id": request["id"], "error": self.errors[op]})
            return
        ok: dict[str, Any] = {}
        match op:
            case "hello":
                ok = {"protocol": 1, "version": "1", "pid": 1, "started_at_ns": 0, "new": 1}
            case "set_platform":
                self.platform = request
            case "put_function":
                self.functions[request["namespace"], request["name"]] = request
            case "delete_function":
                if self.functions.pop((request["namespace"], request["name"]), None) is None:
                    error = {"code": "unknown_function", "message": "?"}
                    send(writer, {"id": request["id"], "error": error})
                    return
            case "list_functions":
                ok = {"functions": [_without(one) for one in self.functions.values()]}
            case "list_sandboxes":
                ok = {
                    "sandboxes": [{"sandbox": "s", "address": "a", "listening": [80], "dials": 1}]
                }
            case "probe":
                ok = {"status": None}
            case "drain":
                ok = {"in_flight": 2}
            case "stats":
                ok = {"functions": []}
        send(writer, {"id": request["id"], "ok": ok})

    def drop(self) -> None:
        for writer in self.writers:
            writer.close()
        self.writers.clear()


def _without(request: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in ("id", "op")}


def send(writer: asyncio.StreamWriter, message: object) -> None:
    body = msgspec.json.encode(message)
    writer.write(len(body).to_bytes(4, "little") + body)


@dataclass
class Heard:
    events: list[Any] = field(default_factory=list)
    connected: list[Any] = field(default_factory=list)
    lost: int = 0

    def dataplane_event(self, event: Any) -> None:
        self.events.append(event)

    def dataplane_connected(self, sandboxes: Any) -> None:
        self.connected.append(sandboxes)

    def dataplane_lost(self) -> None:
        self.lost += 1


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[SmallJnetd, DataplaneClient, Heard]]:
    jnetd, heard = SmallJnetd(folder / "control.sock"), Heard()
    client = DataplaneClient(jnetd.socket, PLATFORM)
    server = await asyncio.start_unix_server(jnetd.serve, jnetd.socket)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(client.run(heard))
        try:
            yield jnetd, client, heard
        finally:
            running.cancel()
            jnetd.drop()
            server.close()


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_state_given_before_and_after_the_connection_arrives(tmp_path: Path):
    async with pair(tmp_path) as (jnetd, client, heard):
        jnetd.functions["n", "old"] = {
            "name": "old",
            "namespace": "n",
            "settings": {},
            "replicas": [],
        }
        await client.put_function(FUNCTION)
        await until(lambda: bool(heard.connected))
        assert jnetd.platform["gateway"] == "10.62.0.1"
        assert set(jnetd.functions) == {("n", "f")}
        assert jnetd.functions["n", "f"]["replicas"] == [
            {"sandbox": "s", "port": 80, "draining": False}
        ]
        assert heard.connected[0][0].listening == (80,)
        await client.set_platform(msgspec.structs.replace(PLATFORM, gateway_port=9))
        assert jnetd.platform["gateway_port"] == 9
        await client.delete_function("n", "f")
        await client.delete_function("n", "f")
        assert not jnetd.functions


async def test_a_new_jnetd_is_told_everything_again(tmp_path: Path):
    async with pair(tmp_path) as (jnetd, client, heard):
        await until(lambda: client.hello is not None and bool(heard.connected))
        await client.put_function(FUNCTION)
        jnetd.functions.clear()
        jnetd.drop()
        await until(lambda: len(heard.connected) == 2)
        assert set(jnetd.functions) == {("n", "f")}
        assert heard.lost == 1


async def test_what_waits_for_an_answer_hears_of_the_loss(tmp_path: Path):
    async with pair(tmp_path) as (jnetd, client, heard):
        await until(lambda: bool(heard.connected))
        jnetd.silent.add("probe")
        pending = asyncio.gather(client.probe("s", 80, None, 60_000), return_exceptions=True)
        await asyncio.sleep(0.05)
        jnetd.drop()
        (error,) = await pending
        assert isinstance(error, DataplaneLost)


async def test_answers_and_refusals(tmp_path: Path):
    async with pair(tmp_path) as (jnetd, client, heard):
        await until(lambda: bool(heard.connected))
        assert await client.probe("s", 80, "/x", 10) is None
        assert await client.drain("s", 10) == 2
        assert await client.stats_json() == '{"functions":[]}'
        jnetd.errors["probe"] = {"code": "not_ready", "message": "no"}
        with pytest.raises(DataplaneError, match="not_ready: no"):
            await client.probe("s", 80, None, 10)


async def test_events_known_and_unknown(tmp_path: Path):
    async with pair(tmp_path) as (jnetd, _client, heard):
        await until(lambda: bool(heard.connected))
        send(jnetd.writers[0], {"event": "invented", "x": 1})
        send(jnetd.writers[0], {"event": "listening", "sandbox": "s", "port": 80})
        await until(lambda: bool(heard.events))
        assert heard.events == [protocol.Listening("s", 80)]


@pytest.mark.parametrize(
    "rubbish", [b"\xff\xff\xff\xff", b"\x02\0\0\0[]", b'\x0b\0\0\0{"event":1}']
)
async def test_rubbish_ends_the_connection_and_not_the_client(tmp_path: Path, rubbish: bytes):
    async with pair(tmp_path) as (jnetd, _client, heard):
        await until(lambda: bool(heard.connected))
        jnetd.writers[0].write(rubbish)
        await until(lambda: len(heard.connected) == 2)


async def test_another_protocol_is_no_connection(tmp_path: Path):
    async with pair(tmp_path) as (jnetd, client, heard):
        jnetd.errors["hello"] = {"code": "version", "message": "2"}
        await until(lambda: jnetd.connections >= 2)
        assert client.hello is None or heard.lost
        await client.put_function(FUNCTION)
        with pytest.raises(DataplaneLost):
            await client.drain("s", 1)


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 9))
def test_frames_come_out_whole_however_they_arrive(bodies: list[bytes], size: int):
    stream = b"".join(len(body).to_bytes(4, "little") + body for body in bodies)
    reader, found = FrameReader(), []
    for start in range(0, len(stream), size):
        found += list(reader.feed(stream[start : start + size]))
    assert found == bodies


def test_a_frame_longer_than_allowed_is_not_read():
    with pytest.raises(ProtocolError):
        list(FrameReader().feed((1 << 21).to_bytes(4, "little")))
    with pytest.raises(ProtocolError):
        protocol.encode_request(1, "x", text="x" * (1 << 20))


def test_pauses_grow_with_jitter_and_a_healthy_run_resets_them():
    backoff = Backoff(random.Random(1), first_s=1, max_s=8, healthy_s=10)
    pauses = [backoff.pause_s(0) for _ in range(8)]
    assert pauses[0] == 0
    for pause, bound in zip(pauses[1:], [1, 2, 4, 8, 8, 8, 8], strict=True):
        assert bound / 2 <= pause <= bound
    assert backoff.pause_s(11) == 0
