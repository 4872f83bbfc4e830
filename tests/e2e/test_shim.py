"""Goal: the sample servers answer the same with rings and without, and with rings they do ride on them.

Method: each function is deployed twice from one image, once with rings refused by annotation. The program, its
configuration and the requests are the same; so must be the bytes of every answer.
"""

import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.e2e.instance import Instance, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SERVERS = ("hello", "asyncio", "node-hello", "epoll", "nginx")
"""Python's threads, Python's loop, Node, a C program on epoll, nginx: all dynamic, none changed."""
SIZES = (0, 1, 600, 600, 9_000, 600)
THREADS = 4
ROUNDS = 25

Pair = tuple[str, str]


@pytest.fixture(params=SERVERS)
def pair(
    request: pytest.FixtureRequest, instance: Instance, image: Callable[[str], str]
) -> Iterator[Pair]:
    """The same function twice: with rings and without."""
    server = request.param
    with_rings, without = f"{server}-rings", f"{server}-plain"
    with instance.api() as api:
        for name, rings in ((with_rings, "true"), (without, "false")):
            document = {
                "service": name,
                "image": image(server),
                "annotations": {"com.junctiond.rings": rings},
            }
            answer = api.post("/system/functions", json=document)
            assert answer.status_code == 200, answer.text
        for name in (with_rings, without):
            eventually(lambda name=name: instance.invoke(name, b"up").status_code == 200)
        yield with_rings, without
        for name in (with_rings, without):
            api.request("DELETE", "/system/functions", json={"functionName": name})
        # Other tests keep functions of theirs on the same host.
        eventually(
            lambda: (
                not {row["name"] for row in api.get("/system/functions").json()}
                & {with_rings, without}
            )
        )


def _transcript(instance: Instance, function: str) -> list[tuple[int, str, bytes]]:
    """Status, type and body of every answer, in the order of the requests."""
    said: list[list[tuple[int, str, bytes]]] = [[] for _ in range(THREADS)]

    def talk(own: list[tuple[int, str, bytes]], thread: int) -> None:
        url = f"{instance.url}/function/{function}"
        with httpx.Client(timeout=30) as client:
            for turn in range(ROUNDS):
                size = SIZES[turn % len(SIZES)]
                answer = client.post(url, content=bytes([65 + thread]) * size)
                kind = answer.headers.get("content-type", "")
                own.append((answer.status_code, kind, answer.content))

    threads = [threading.Thread(target=talk, args=(own, thread)) for thread, own in enumerate(said)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for own in said for answer in own]


def _upgrades(instance: Instance, function: str) -> int:
    rows = instance.dataplane_statistics()["sandboxes"]
    return sum(
        row.get("ring_upgrades", 0) for row in rows if row["sandbox"].startswith(f"{function}.")
    )


def test_a_server_answers_the_same_on_rings(instance: Instance, pair: Pair) -> None:
    with_rings, without = pair
    assert _transcript(instance, with_rings) == _transcript(instance, without)
    assert _upgrades(instance, with_rings) > 0
    assert _upgrades(instance, without) == 0
