"""Goal: a static Go function, which cannot be preloaded, rides on rings by its copy, and answers what it always did."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import httpx
import pytest

from tests.e2e.instance import Instance, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SIZES = (1, 600, 9_000, 70_000, 3_000_000)


def _counters(instance: Instance, name: str) -> dict[str, int]:
    rows = instance.dataplane_statistics()["sandboxes"]
    mine = [row for row in rows if row["sandbox"].startswith(f"{name}.")]
    assert len(mine) == 1, rows
    return dict(mine[0])


@pytest.fixture
def functions(instance: Instance, image: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """`aes` twice: on rings, and with rings turned off."""
    names = ("go-ring", "go-fd")
    with instance.api() as api:
        for name in names:
            annotations = {"com.junctiond.rings": "false"} if name == "go-fd" else {}
            deployment = {"service": name, "image": image("aes"), "annotations": annotations}
            answer = api.post("/system/functions", json=deployment)
            assert answer.status_code == 200, answer.text
        for name in names:
            url = f"{instance.url}/function/{name}"
            eventually(lambda url=url: httpx.post(url, content=b"up").status_code == 200)
        yield names
        for name in names:
            api.request("DELETE", "/system/functions", json={"functionName": name})
        # Other tests keep functions of theirs on the same host.
        eventually(
            lambda: not {row["name"] for row in api.get("/system/functions").json()} & {*names}
        )


def test_a_go_program_answers_over_rings_as_over_its_descriptor(
    instance: Instance, functions: tuple[str, str]
) -> None:
    ring, plain = functions
    before = _counters(instance, ring)
    with httpx.Client(base_url=f"{instance.url}/function", timeout=30) as client:
        for size in SIZES * 4:
            body = bytes(range(251)) * (size // 251 + 1)
            answers = [client.post(f"/{name}", content=body[:size]) for name in functions]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert answers[0].content == answers[1].content
            assert len(answers[0].content) == size
    after = _counters(instance, ring)
    assert after["ring_upgrades"] >= 1
    assert after["ring_bytes_to_guest"] - before["ring_bytes_to_guest"] > 4 * max(SIZES)
    assert after["ring_violations"] == 0
    assert _counters(instance, plain).get("ring_upgrades", 0) == 0


def test_a_go_program_on_several_cores_is_always_woken(
    instance: Instance, image: Callable[[str], str]
) -> None:
    """Its threads look at the same epoll set at once, and one may take the event that another sleeps for."""
    name = "go-many"
    annotations = {"com.junctiond.cores": "many"}
    document = {"service": name, "image": image("aes"), "annotations": annotations}
    url = f"{instance.url}/function/{name}"

    address = (httpx.URL(instance.url).host, httpx.URL(instance.url).port)
    request = f"POST /function/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody".encode()

    def talk(_: int) -> set[bytes]:
        # By hand: a client that is slower than the function gives its threads time to settle.
        with socket.create_connection(address, timeout=5) as peer:
            return {exchange(peer) for _ in range(3_000)}

    def exchange(peer: socket.socket) -> bytes:
        peer.sendall(request)
        return peer.recv(4_096)[:12]

    with instance.api() as api:
        answer = api.post("/system/functions", json=document)
        assert answer.status_code == 200, answer.text
        eventually(lambda: httpx.post(url, content=b"up").status_code == 200)
        try:
            for threads in (1, 2, 4):
                with ThreadPoolExecutor(threads) as pool:
                    assert set(chain(*pool.map(talk, range(threads)))) == {b"HTTP/1.1 200"}
        finally:
            api.request("DELETE", "/system/functions", json={"functionName": name})
