"""Goal: the front door carries whatever HTTP/1.1 carries, and sandboxes reach what they may reach."""

import http.client
import os
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.e2e.instance import Instance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def behaviours(guest_deployed: Callable[[str], str]) -> str:
    return guest_deployed("behaviours")


def test_path_query_and_method_arrive_untouched(instance: Instance, behaviours: str) -> None:
    answer = httpx.request(
        "PATCH", f"{instance.url}/function/{behaviours}/a%2Fb/c?x=1&y=%20", content=b"body"
    )
    assert answer.text.startswith("PATCH /a%2Fb/c?x=1&y=%20\n")
    assert answer.text.endswith("\n\nbody")


def test_the_platforms_headers_go_both_ways(instance: Instance, behaviours: str) -> None:
    answer = instance.invoke(behaviours, headers={"X-Call-Id": "mine"})
    assert answer.headers["x-call-id"] == "mine"
    assert "X-Call-Id: mine" in answer.text
    assert int(answer.headers["x-start-time"]) > 10**18
    assert float(answer.headers["x-duration-seconds"]) >= 0
    assert answer.headers["x-served-by"].startswith("junctiond/")
    assert "X-Forwarded-For: 127.0.0.1:" in answer.text
    assert f"X-Forwarded-Host: 127.0.0.1:{instance.port}" in answer.text


def test_a_call_id_is_made_where_none_came(instance: Instance, behaviours: str) -> None:
    first, second = (instance.invoke(behaviours).headers["x-call-id"] for _ in range(2))
    assert len(first) == 36
    assert first != second


def test_content_length_is_kept_and_chunks_stay_chunks(instance: Instance, behaviours: str) -> None:
    assert "length 4 chunked []" in instance.invoke(behaviours, b"four").text
    chunked = httpx.post(f"{instance.url}/function/{behaviours}", content=iter([b"fo", b"ur"]))
    assert "chunked [chunked]" in chunked.text
    assert chunked.text.endswith("\n\nfour")


def test_head_and_options_reach_the_function(instance: Instance, behaviours: str) -> None:
    head = httpx.head(f"{instance.url}/function/{behaviours}")
    assert (head.status_code, head.content) == (200, b"")
    options = httpx.options(f"{instance.url}/function/{behaviours}")
    assert options.text.startswith("OPTIONS /")


def test_expect_100_continue_is_answered_before_the_body(
    instance: Instance, behaviours: str
) -> None:
    with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as client:
        client.sendall(
            f"POST /function/{behaviours} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        assert client.recv(1024).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"four")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(instance: Instance, behaviours: str) -> None:
    with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as client:
        requests = [f"GET /function/{behaviours}/{n} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(5)]
        client.sendall("".join(requests).encode())
        received = b""
        while received.count(b"\nHost: ") < 5:
            received += client.recv(65536)
        positions = [received.index(f"GET /{n}\n".encode()) for n in range(5)]
        assert positions == sorted(positions)


def test_a_stream_arrives_while_it_is_made(instance: Instance, behaviours: str) -> None:
    arrivals = []
    url = f"{instance.url}/function/{behaviours}/drip?count=4&ms=150"
    with httpx.stream("GET", url, timeout=30) as answer:
        for chunk in answer.iter_raw():
            arrivals.append((time.monotonic(), chunk))
    assert b"".join(chunk for _, chunk in arrivals).count(b"data: ") == 4
    assert arrivals[-1][0] - arrivals[0][0] > 0.3


def test_an_upgraded_connection_belongs_to_both_ends(instance: Instance, behaviours: str) -> None:
    with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as client:
        client.sendall(
            f"GET /function/{behaviours}/upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            "Upgrade: shout\r\n\r\n".encode()
        )
        received = client.recv(4096)
        assert received.startswith(b"HTTP/1.1 101 ")
        client.sendall(b"quiet\n")
        while b"QUIET\n" not in received:
            received += client.recv(4096)


def test_a_large_body_goes_through_both_ways(instance: Instance, deployed) -> None:
    name = deployed("aes")
    plain = os.urandom(32 << 20)
    cipher = instance.invoke(name, plain).content
    assert len(cipher) == len(plain)
    assert instance.invoke(name, cipher).content == plain


def test_a_kept_alive_connection_serves_many(instance: Instance, deployed) -> None:
    name = deployed("aes")
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=10)
    for n in range(200):
        connection.request("POST", f"/function/{name}", body=bytes(n))
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(answer.read()) == n
    connection.close()


def test_a_function_calls_another_by_name(instance: Instance, behaviours: str, deployed) -> None:
    other = deployed("hello")
    answer = instance.invoke(f"{behaviours}/call?url=http://gateway:8080/function/{other}")
    assert answer.status_code == 200
    assert answer.content == httpx.get(f"{instance.url}/function/{other}").content


def test_gateway_has_an_address_and_nonsense_has_none(instance: Instance, behaviours: str) -> None:
    assert "10.62.0.1" in instance.invoke(f"{behaviours}/lookup?name=gateway").text
    assert "localhost" not in instance.invoke(f"{behaviours}/lookup?name=no.such.invalid").text


def test_a_function_reaches_itself_on_loopback(instance: Instance, behaviours: str) -> None:
    answer = instance.invoke(f"{behaviours}/call?url=http://127.0.0.1:8080/itself")
    assert answer.text.startswith("GET /itself\n")


def test_the_hosts_loopback_is_out_of_reach(instance: Instance, behaviours: str) -> None:
    class Secret(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"host secret")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Secret)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        answer = instance.invoke(f"{behaviours}/call?url={url}")
        assert answer.status_code == 502
        assert "refused" in answer.text
    finally:
        server.shutdown()
        server.server_close()


def test_the_sandbox_looks_as_deployed(instance: Instance, behaviours: str) -> None:
    text = instance.invoke(f"{behaviours}/facts").text
    assert f"hostname {behaviours}" in text
    assert "root writable true" in text
    assert f"env OPENFAAS_NAME={behaviours}" in text


def test_a_read_only_root_is_read_only(instance: Instance, guest_image) -> None:
    with instance.api() as api:
        answer = api.post(
            "/system/functions",
            json={
                "service": "solid",
                "image": guest_image("behaviours"),
                "readOnlyRootFilesystem": True,
            },
        )
        assert answer.status_code == 200, answer.text
        text = instance.invoke("solid/facts").text
        api.request("DELETE", "/system/functions", json={"functionName": "solid"})
    assert "root writable false" in text
    assert "tmp writable true" in text
