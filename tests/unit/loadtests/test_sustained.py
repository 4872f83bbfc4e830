import asyncio
import json
from contextlib import suppress
from pathlib import Path

from loadtests.leaks import Counts, connections, growth, least
from loadtests.series import OURS, Series
from loadtests.sustained import Client, Launches, Tally, note, windows

COUNTS = Counts(
    processes=4,
    descriptors=90,
    threads=12,
    mounts=3,
    cgroups=5,
    sandboxes=0,
    rows=130,
    memory_mib=80.0,
)


def tally(starts: int, step_ns: int = 4_000_000) -> Tally:
    ended = [number * step_ns for number in range(starts)]
    return Tally(starts, starts, ended, [10.0 + number % 3 for number in range(starts)])


def test_windows_are_equal_parts_in_order():
    parts = windows(tally(23), 5)
    assert [len(ended) for ended, _ in parts] == [4, 4, 4, 4, 4]
    assert parts[1][0][0] == 4 * 4_000_000
    assert windows(tally(1), 5) == []


def test_rate_is_of_the_time_between_ends():
    series = Series("sustained")
    note(series, tally(100))
    assert series.of(OURS, "cold_starts_per_s") == [250.0] * 5
    assert series.of(OURS, "cold_start_ms_p50") == [11.0] * 5
    assert series.of(OURS, "cold_start_ms_p99") == [12.0] * 5


def test_growth_names_what_there_is_more_of():
    after = Counts(4, 92, 11, 3, 6, 0, 130, 99.0)
    assert growth(COUNTS, after) == {"descriptors": 2, "cgroups": 1}
    assert growth(COUNTS, COUNTS) == {}


def test_what_is_held_all_the_time():
    reading = Counts(4, 95, 12, 3, 5, 0, 130, 81.0)
    assert least([reading, COUNTS, reading]) == COUNTS


ANSWERS = {
    "/counted": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "/chunked": b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "/empty": b"HTTP/1.1 204 No Content\r\n\r\n",
}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert "Authorization: Basic xyz" in head
            length = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
            assert await reader.readexactly(length) == b"x" * length
            writer.write(ANSWERS[head.split()[1]])
    await ended(writer)


async def ended(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_client_keeps_its_connection_whatever_frames_the_answer():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = Client(*await asyncio.open_connection("127.0.0.1", port), "Basic xyz")
        paths = ["/counted", "/chunked", "/empty", "/counted"]
        found = [await client.post(path, b"x" * 7, "text/plain") for path in paths]
        assert found == [200, 202, 204, 200]
        await ended(client.writer)
        await asyncio.sleep(0.05)  # the server's side closes too


async def test_launches_count_sandboxes_that_attach(tmp_path: Path):
    def frame(content: dict[str, object]) -> bytes:
        body = json.dumps(content).encode()
        return len(body).to_bytes(4, "little") + body

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(int.from_bytes(await reader.readexactly(4), "little"))
        writer.write(frame({"id": 1, "ok": {"protocol": 1}}))
        for event in ("attached", "detached", "attached", "listening"):
            writer.write(frame({"event": event, "sandbox": "x"}))
        await reader.read()
        await ended(writer)

    path = str(tmp_path / "control.sock")
    async with await asyncio.start_unix_server(tell, path):
        launches = Launches()
        reader, writer = await asyncio.open_unix_connection(path)
        await launches.subscribe(reader, writer)
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(launches.watch(reader))
            await launches.settle(2)
            watch.cancel()
        assert launches.count == 2
        await ended(writer)
        await asyncio.sleep(0.05)


def test_connections_of_a_unix_socket_are_counted_without_its_listener():
    table = (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 11 /r/p.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 12 /r/p.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 13 /r/other.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 14\n"
    )
    assert connections(table, "/r/p.sock") == 1
