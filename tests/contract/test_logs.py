"""Logs over a real socket: history, following, and what ends a stream."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from junctiond.domain import LogQuery
from tests.contract.harness import Gateway

DOCUMENT = {"service": "talk", "image": "registry.example/fn/talk:v1"}
PATIENCE_S = 5.0


@pytest.fixture
def talking(gateway: Gateway) -> Gateway:
    with gateway.client() as client:
        assert client.post("/system/functions", json=DOCUMENT).status_code == 200
    return gateway


def say(gateway: Gateway, *lines: str) -> None:
    gateway.host.now_ns = time.time_ns()
    for line in lines:
        gateway.do(gateway.host.write_log("talk", line))


@contextmanager
def follow(gateway: Gateway, query: str = "") -> Iterator[Iterator[str]]:
    with (
        gateway.client() as client,
        client.stream("GET", f"/system/logs?name=talk&follow=true{query}") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.headers["transfer-encoding"] == "chunked"
        yield (json.loads(line)["text"] for line in answer.iter_lines())


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_history_is_complete_and_in_order(talking: Gateway) -> None:
    lines = [f"line {number}" for number in range(500)]
    say(talking, *lines)
    with talking.client() as client:
        answer = client.get("/system/logs?name=talk&tail=-1&since=2020-01-01T00:00:00Z")
        assert [json.loads(line)["text"] for line in answer.text.splitlines()] == lines
        answer = client.get("/system/logs?name=talk&tail=2")
        assert [json.loads(line)["text"] for line in answer.text.splitlines()] == lines[-2:]


def test_a_line_has_no_length_cap_and_any_text(talking: Gateway) -> None:
    odd = ['"quotes" \\ and \t tabs', "größer ✓ \U0001f600", "\x00\x1b[31m", "x" * 200_000]
    say(talking, *odd)
    with talking.client() as client:
        answer = client.get("/system/logs?name=talk")
    assert [json.loads(line)["text"] for line in answer.text.splitlines()] == odd


def test_following_delivers_each_line_when_it_is_written(talking: Gateway) -> None:
    say(talking, "before")
    with follow(talking) as texts:
        assert next(texts) == "before"
        for number in range(20):
            say(talking, f"now {number}")
            assert next(texts) == f"now {number}"


def test_headers_come_before_the_first_line(talking: Gateway) -> None:
    with follow(talking) as texts:
        say(talking, "first")
        assert next(texts) == "first"


def test_a_deleted_function_ends_the_stream(talking: Gateway) -> None:
    say(talking, "before")
    with follow(talking) as texts:
        assert next(texts) == "before"
        talking.do(talking.host.delete("talk", "openfaas-fn"))
        # The fake host looks at its functions when something is written.
        say(talking, "last words")
        assert list(texts) in ([], ["last words"])


def test_a_client_that_goes_cancels_the_call_to_the_host(
    talking: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_streams = 0
    real = talking.host.logs

    async def counted(query: LogQuery):
        nonlocal open_streams
        open_streams += 1
        try:
            async for record in real(query):
                yield record
        finally:
            open_streams -= 1

    monkeypatch.setattr(talking.host, "logs", counted)
    with follow(talking):
        eventually(lambda: open_streams == 1)
    # Nothing is written any more: only the disconnect itself can end the call.
    eventually(lambda: open_streams == 0)


def test_a_slow_reader_loses_nothing(talking: Gateway) -> None:
    lines = [f"{number} " + "x" * 10_000 for number in range(1000)]
    with follow(talking) as texts:
        writer = threading.Thread(target=say, args=(talking, *lines))
        writer.start()
        time.sleep(0.3)
        assert [next(texts) for _ in lines] == lines
        writer.join()


def test_five_minutes_without_since_and_tail(talking: Gateway) -> None:
    talking.host.now_ns = time.time_ns() - 600 * 10**9
    talking.do(talking.host.write_log("talk", "old"))
    say(talking, "new")
    with talking.client() as client:

        def texts(query: str) -> list[str]:
            answer = client.get(f"/system/logs?name=talk{query}")
            return [json.loads(line)["text"] for line in answer.text.splitlines()]

        assert texts("") == texts("&tail=-1") == ["new"]
        assert texts("&tail=10") == texts("&since=2020-01-01T00:00:00Z") == ["old", "new"]


@pytest.mark.parametrize("query", ["tail=x", "tail=1.5", "since=x", "since=2026-13-01T00:00:00Z"])
def test_bad_queries(talking: Gateway, query: str) -> None:
    with talking.client() as client:
        answer = client.get(f"/system/logs?name=talk&{query}")
    assert answer.status_code == 422
    assert answer.text == "could not parse the log request\n"


def test_an_unknown_namespace_is_refused(talking: Gateway) -> None:
    with talking.client() as client:
        answer = client.get("/system/logs?name=talk&namespace=nosuch&follow=true")
    assert (answer.status_code, answer.text) == (400, "namespace not valid\n")


def test_the_last_of_a_repeated_key_wins(talking: Gateway) -> None:
    say(talking, "one", "two")
    with talking.client() as client:
        answer = client.get("/system/logs?name=nosuch&name=talk&tail=5&tail=1")
    assert [json.loads(line)["text"] for line in answer.text.splitlines()] == ["two"]


def test_many_followers_share_one_provider(talking: Gateway) -> None:
    texts: list[str] = []

    def read() -> None:
        with follow(talking) as lines:
            texts.append(next(lines))

    readers = [threading.Thread(target=read) for _ in range(20)]
    for reader in readers:
        reader.start()
    time.sleep(0.3)
    say(talking, "to all")
    for reader in readers:
        reader.join(PATIENCE_S)
    assert texts == ["to all"] * 20


def test_http_1_0_clients_get_the_history(talking: Gateway) -> None:
    say(talking, "old style")
    with talking.client() as client:
        answer = client.get("/system/logs?name=talk", headers={"Connection": "close"})
    assert isinstance(answer, httpx.Response)
    assert "old style" in answer.text
