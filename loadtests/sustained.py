"""Cold starts sustained: a closed loop over many functions, each invoked at zero replicas and scaled back, and what is left.

Each worker has its own functions and takes them in turn, so that one has gone before it is wanted again.
"""

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from loadtests.effort import BODY_BYTES
from loadtests.gateway import GatewayRefused
from loadtests.instance import Instance
from loadtests.leaks import Counts, growth, settled
from loadtests.placement import Placement
from loadtests.quantiles import quantile
from loadtests.record import Subject
from loadtests.series import OURS, Series

Say = Callable[[str], None]
FUNCTION = "aes"
WORKERS = 4
"""Cold starts at once. Three to eight give the same rate on two cores; with more, each only waits for the others."""
FUNCTIONS_PER_WORKER = 32
WINDOWS = 5
"""Parts of a run whose figures are the rounds."""
TIMEOUT_S = 60.0
LEAK_KIB_PER_START = 1.0
LEAK_MIB_MIN = 4.0
"""Below this in all, growth of the platform's memory is the noise of two allocators."""


@dataclass(slots=True)
class Tally:
    """Cold starts so far: when each ended, on the loop's clock, and how long it took."""

    wanted: int
    begun: int = 0
    ended_ns: list[int] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Client:
    """One kept-alive connection to a gateway; plain HTTP/1.1, so that the load costs little beside the platform."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    authorization: str

    async def post(self, path: str, body: bytes, kind: str) -> int:
        """The status of one POST, its answer read whole."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: {self.authorization}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        await self._drop_body(answer.lower())
        return int(answer[9:12])

    async def _drop_body(self, head: bytes) -> None:
        _, stated, rest = head.partition(b"content-length:")
        if stated:
            await self.reader.readexactly(int(rest.split(b"\r\n")[0]))
        elif b"transfer-encoding: chunked" in head:
            while size := int(await self.reader.readline(), 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readline()


def measure(host: Instance, image: str, starts: int, say: Say) -> Series:
    """Measures; leaves the host without the functions it used.

    Raises:
        GatewayRefused: an invocation was not answered with 200, or fewer sandboxes were launched than answers counted.
    """
    series = Series("sustained", Subject(FUNCTION, "", str(Placement.OWN)))
    names = [f"sustained-{number}" for number in range(WORKERS * FUNCTIONS_PER_WORKER)]
    say(f"sustained cold starts: deploying {len(names)} functions")
    for name in names:
        host.gateway.deploy(name, image)
        host.gateway.scale(name, 0)
    asyncio.run(_load(host, names, len(names)))
    before = settled(host)
    say(f"sustained cold starts: {starts} in two halves")
    first = asyncio.run(_load(host, names, starts // 2))
    middle = settled(host)
    second = asyncio.run(_load(host, names, starts - starts // 2))
    after = settled(host)
    for tally in (first, second):
        note(series, tally)
    _note_leaks(series, before, middle, after, starts, say)
    for name in names:
        host.gateway.remove(name)
    return series


def note(series: Series, tally: Tally) -> None:
    """Adds the figures of a load, one value per window of it."""
    for ended_ns, latencies_ms in windows(tally, WINDOWS):
        elapsed_s = (ended_ns[-1] - ended_ns[0]) / 1e9
        series.add(OURS, "cold_starts_per_s", (len(ended_ns) - 1) / elapsed_s)
        series.add(OURS, "cold_start_ms_p50", quantile(latencies_ms, 0.5))
        series.add(OURS, "cold_start_ms_p99", quantile(latencies_ms, 0.99))


def windows(tally: Tally, parts: int) -> list[tuple[list[int], list[float]]]:
    """A load in equal parts, in the order of ends; fewer where a part would have under two."""
    size = max(2, len(tally.ended_ns) // parts)
    return [
        (tally.ended_ns[at : at + size], tally.latencies_ms[at : at + size])
        for at in range(0, len(tally.ended_ns) - size + 1, size)
    ]


def _note_leaks(
    series: Series, before: Counts, middle: Counts, after: Counts, starts: int, say: Say
) -> None:
    left = growth(before, after)
    grown_mib = after.memory_mib - middle.memory_mib
    per_start_kib = grown_mib * 1024 / max(starts - starts // 2, 1)
    if grown_mib > LEAK_MIB_MIN and per_start_kib > LEAK_KIB_PER_START:
        left["memory"] = 1
    if left:
        say(f"left after {starts} cold starts: {left}")
    series.add(OURS, f"leaked{starts}_count", sum(left.values()))
    series.add(OURS, "second_half_growth_mib", grown_mib)


async def _load(host: Instance, names: Sequence[str], starts: int) -> Tally:
    """That many cold starts, with as many at once as there are workers."""
    tally = Tally(starts)
    launched = Launches()
    reader, writer = await asyncio.open_unix_connection(str(host.settings.control_socket))
    try:
        await launched.subscribe(reader, writer)
        async with asyncio.TaskGroup() as watching:
            watch = watching.create_task(launched.watch(reader))
            async with asyncio.TaskGroup() as working:
                for worker in range(WORKERS):
                    working.create_task(_work(host, names[worker::WORKERS], tally))
            await launched.settle(len(tally.latencies_ms))
            watch.cancel()
    finally:
        writer.close()
    if launched.count < len(tally.latencies_ms):
        raise GatewayRefused(
            f"{len(tally.latencies_ms)} answers came from {launched.count} launches: not all were cold"
        )
    return tally


async def _work(host: Instance, names: Sequence[str], tally: Tally) -> None:
    address, port = host.gateway.address.split(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    secret = base64.b64encode(f"{host.gateway.user}:{host.gateway.password}".encode()).decode()
    client = Client(reader, writer, f"Basic {secret}")
    turn = 0
    try:
        while tally.begun < tally.wanted:
            tally.begun += 1
            name = names[turn % len(names)]
            turn += 1
            async with asyncio.timeout(TIMEOUT_S):
                await _one(client, name, tally)
    finally:
        writer.close()


async def _one(client: Client, name: str, tally: Tally) -> None:
    """A cold start, and back to zero."""
    began_ns = time.monotonic_ns()
    status = await client.post(f"/function/{name}", b"x" * BODY_BYTES, "text/plain")
    ended_ns = time.monotonic_ns()
    if status != 200:
        raise GatewayRefused(f"the invocation of {name} at zero replicas got {status}")
    tally.ended_ns.append(ended_ns)
    tally.latencies_ms.append((ended_ns - began_ns) / 1e6)
    body = msgspec.json.encode({"serviceName": name, "replicas": 0})
    status = await client.post(f"/system/scale-function/{name}", body, "application/json")
    if status not in (200, 202):
        raise GatewayRefused(f"scaling {name} to zero got {status}")


@dataclass(slots=True)
class Launches:
    """Counts sandboxes as they attach to the front door: the evidence that each answer was a cold start."""

    count: int = 0

    async def subscribe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Asks for events (docs/protocols.md, section 3)."""
        hello = msgspec.json.encode({"id": 1, "op": "hello", "protocol": 1, "client": "loadtests"})
        writer.write(len(hello).to_bytes(4, "little") + hello)
        await writer.drain()
        await _frame(reader)

    async def watch(self, reader: asyncio.StreamReader) -> None:
        """Counts until it is cancelled."""
        while True:
            if (await _frame(reader)).get("event") == "attached":
                self.count += 1

    async def settle(self, wanted: int) -> None:
        """Waits until that many launches were seen, a second at most: events come by a way of their own."""
        for _ in range(100):
            if self.count >= wanted:
                return
            await asyncio.sleep(0.01)


async def _frame(reader: asyncio.StreamReader) -> dict[str, object]:
    length = int.from_bytes(await reader.readexactly(4), "little")
    return msgspec.json.decode(await reader.readexactly(length), type=dict[str, object])
