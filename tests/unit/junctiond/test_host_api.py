"""Goal: the client, the codec and the service agree. Method: the fake host behind a real Unix socket."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.api import codec, details, generate
from junctiond.api.client import HostClient
from junctiond.domain import (
    Deployment,
    EventKind,
    FunctionCpu,
    HostStats,
    LogQuery,
    Namespace,
    Resources,
    SnapshotCounts,
)
from junctiond.errors import HostError, Reason
from junctiond.testing.fake_host import FakeHost, serve_fake_host

FULL = Deployment(
    name="aes",
    image="registry.example/aes:1",
    env_process="/handler --fast",
    env={"a": "b=c"},
    secrets=("key",),
    labels={"l": "1"},
    annotations={"n": "2"},
    limits=Resources("128Mi", "100m"),
    requests=Resources("64Mi", ""),
    read_only_root=True,
    constraints=("node=1",),
    document=b'{"service": "aes" }\xff',
)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[FakeHost, HostClient]]:
    socket = tmp_path / "host.sock"
    async with serve_fake_host(socket) as host, HostClient(socket) as client:
        yield host, client


async def test_statistics_come_back_as_they_were_given() -> None:
    given_stats = HostStats(
        '{"functions":[]}',
        (),
        (FunctionCpu("aes", "openfaas-fn", 7),),
        "balanced",
        (0, 1),
        SnapshotCounts(taken=4, refused=3, restored=2, fallbacks=1),
    )
    assert codec.decode_stats(codec.encode_stats(given_stats)) == given_stats


async def test_a_deployment_comes_back_as_it_went_in(pair: tuple[FakeHost, HostClient]) -> None:
    _, client = pair
    assert await client.put_secret("key", "", b"v")
    made = await client.create(FULL)
    assert made.deployment == FULL
    assert (made.replicas, made.replicas_available, made.generation) == (1, 1, 1)
    assert await client.get("aes", "openfaas-fn") == made
    assert [one.deployment for one in await client.list_functions()] == [FULL]
    measured = await client.get("aes", "", usage=True)
    assert measured.usage is not None


async def test_errors_carry_reason_message_and_retryable(pair: tuple[FakeHost, HostClient]) -> None:
    host, client = pair
    with pytest.raises(HostError) as caught:
        await client.create(FULL)
    assert caught.value.reason is Reason.SECRET_UNKNOWN
    assert caught.value.message == "unable to find secret: key"
    assert not caught.value.retryable
    host.fail_next = HostError(Reason.REGISTRY_UNREACHABLE, "später", retryable=True)
    with pytest.raises(HostError, match="später") as caught:
        await client.info()
    assert caught.value.retryable


@pytest.mark.parametrize("line", ["日志" * 150, "a" * 3000, "\N{GRINNING FACE}%\n" * 100])
async def test_a_long_message_keeps_its_reason_its_beginning_and_its_end(
    pair: tuple[FakeHost, HostClient], line: str
) -> None:
    host, client = pair
    message = f"aes did not become ready: {line * 10}the last line"
    host.fail_next = HostError(Reason.NOT_READY, message)
    with pytest.raises(HostError) as caught:
        await client.get("aes", "openfaas-fn")
    assert caught.value.reason is Reason.NOT_READY
    told = caught.value.message
    assert told.startswith("aes did not become ready: ")
    assert told.endswith("the last line")
    assert "characters left out" in told


@given(st.text(max_size=400), st.integers(200, 600))
def test_a_cut_text_fits_and_is_made_of_whole_characters(text: str, bytes_max: int) -> None:
    def encoded(text: str) -> int:
        return len(quote(text, safe="".join(map(chr, range(0x20, 0x7F))).replace("%", "")))

    found = details.cut(text, bytes_max)
    assert encoded(found) <= bytes_max
    if encoded(text) <= bytes_max:
        assert found == text
    else:
        head, note, tail = found.partition(" [... ")
        assert text.startswith(head)
        assert note
        assert text.endswith(tail.partition(" ...] ")[2])


async def test_an_unexpected_error_does_not_leak_its_text(
    pair: tuple[FakeHost, HostClient],
) -> None:
    host, client = pair
    host.fail_next = RuntimeError("password is hunter2")  # type: ignore[assignment]
    with pytest.raises(HostError) as caught:
        await client.info()
    assert caught.value.reason is Reason.INTERNAL
    assert "hunter2" not in caught.value.message


async def test_no_daemon_is_host_unavailable(tmp_path: Path) -> None:
    async with HostClient(tmp_path / "none.sock") as client:
        with pytest.raises(HostError) as caught:
            await client.info()
    assert caught.value.reason is Reason.HOST_UNAVAILABLE
    assert "junctiond up" in caught.value.message


async def test_watch_begins_with_what_is_there(pair: tuple[FakeHost, HostClient]) -> None:
    _, client = pair
    await client.create(Deployment("one", "image"))
    async with aclosing(client.watch()) as events:
        first = await anext(events)
        assert (first.kind, first.function.deployment.name) == (EventKind.PUT, "one")
        await client.delete("one", "")
        assert (await anext(events)).kind is EventKind.DELETED


async def test_logs_follow_until_the_caller_stops(pair: tuple[FakeHost, HostClient]) -> None:
    host, client = pair
    await client.create(Deployment("one", "image"))
    for number in range(3):
        await host.write_log("one", f"line {number}")
    query = LogQuery("one", tail=2, follow=True)
    async with aclosing(client.logs(query)) as records:
        assert (await anext(records)).text == "line 1"
        assert (await anext(records)).text == "line 2"
        pending = asyncio.ensure_future(anext(records))
        await asyncio.sleep(0.05)
        await host.write_log("one", "line 3", stream="stderr")
        assert (await pending).stream == "stderr"


async def test_namespaces_secrets_and_sandboxes(pair: tuple[FakeHost, HostClient]) -> None:
    _, client = pair
    made = await client.create_namespace(Namespace("dev", {"openfaas": "1"}, {"a": "b"}))
    assert await client.get_namespace("dev") == made
    assert await client.list_namespaces() == ["dev", "openfaas-fn"]
    assert await client.put_secret("s", "dev", b"\x00")
    assert not await client.put_secret("s", "dev", b"\x01")
    assert await client.list_secrets("dev") == ["s"]
    await client.create(Deployment("one", "image", namespace="dev"))
    started = await client.start("one", "dev", 2)
    assert started.replicas == 2
    assert [one.id for one in await client.list_sandboxes()] == ["one.dev.0", "one.dev.1"]
    assert (await client.stop("one", "dev")).replicas == 0
    await client.delete_namespace("dev")
    assert await client.list_namespaces() == ["openfaas-fn"]


async def test_the_socket_is_the_owners_alone(tmp_path: Path) -> None:
    socket = tmp_path / "run" / "host.sock"
    async with serve_fake_host(socket):
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600


def test_the_generated_code_is_that_of_the_proto(tmp_path: Path) -> None:
    made = generate.generate(tmp_path)
    assert len(made) == 3
    for path in made:
        checked_in = generate.ROOT / path.relative_to(tmp_path)
        assert path.read_text() == checked_in.read_text(), (
            f"{checked_in.name} is stale: run python -m junctiond.api.generate"
        )
