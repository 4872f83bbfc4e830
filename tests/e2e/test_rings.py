"""Goal: connections ride on rings, and a guest that misuses its rings hurts only itself.

Method: `guests/rings.c` speaks the ring protocol by itself, as any hostile program may; a second sandbox of the same
program is the neighbour, which must keep answering with its own bytes.
"""

import errno
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.instance import Instance, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ATTACK_S = 2.0
"""How long an attack of the guest lasts."""
NO_RING = errno.ENOPROTOOPT


class Guest:
    """One deployed guest, and the counters of its sandbox."""

    def __init__(self, instance: Instance, name: str) -> None:
        self.name = name
        self._instance = instance
        self._client = httpx.Client(base_url=f"{instance.url}/function/{name}", timeout=30)

    def get(self, path: str) -> Any:
        """The guest's report of a request."""
        answer = self._client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def echo(self, body: bytes) -> httpx.Response:
        return self._client.post("/echo", content=body)

    def counters(self) -> dict[str, int]:
        """What jnetd counted of its sandbox."""
        statistics = self._instance.dataplane_statistics()
        rows = [
            row for row in statistics["sandboxes"] if row["sandbox"].startswith(f"{self.name}.")
        ]
        assert len(rows) == 1, statistics
        return dict(rows[0])


@pytest.fixture
def guests(instance: Instance, guest_image) -> Iterator[list[Guest]]:
    """Two guests, each in its own sandbox: the second one is the neighbour."""
    reference = guest_image("rings")
    names = ["rider", "neighbour"]
    with instance.api() as api:
        for name in names:
            answer = api.post("/system/functions", json={"service": name, "image": reference})
            assert answer.status_code == 200, answer.text
        found = [Guest(instance, name) for name in names]
        for guest in found:
            eventually(lambda guest=guest: guest.echo(b"up").status_code == 200)
        yield found
        for guest in found:
            guest.close()
        for name in names:
            api.request("DELETE", "/system/functions", json={"functionName": name})
        eventually(
            lambda: not {row["name"] for row in api.get("/system/functions").json()} & {*names}
        )


class Calls(threading.Thread):
    """Echoes against a guest until stopped; `wrong` keeps what was not its own bytes."""

    def __init__(self, guest: Guest, *, strict: bool) -> None:
        super().__init__(daemon=True)
        self.right = 0
        self.wrong: list[str] = []
        self._guest, self._strict, self._over = guest, strict, threading.Event()

    def run(self) -> None:
        sizes = (0, 1, 600, 9_000, 70_000)
        while not self._over.is_set():
            body = bytes([self.right % 251]) * sizes[self.right % len(sizes)]
            try:
                answer = self._guest.echo(body)
            except httpx.HTTPError as error:
                self.wrong += [repr(error)] if self._strict else []
                continue
            if answer.status_code == 200 and answer.content == body:
                self.right += 1
            elif self._strict:
                self.wrong.append(f"{answer.status_code}: {answer.content[:80]!r}")

    def finish(self) -> None:
        self._over.set()
        self.join(60)
        assert not self.is_alive()


def _assert_only_itself_suffers(instance: Instance, guests: list[Guest], attack: str) -> None:
    rider, neighbour = guests
    jnetd = {process.pid for process in instance.processes("jnetd")}
    victim = Calls(neighbour, strict=True)
    own = Calls(rider, strict=False)
    victim.start()
    assert rider.get(attack)["riding"]
    own.start()
    time.sleep(ATTACK_S)
    own.finish()
    victim.finish()
    assert victim.wrong == []
    assert victim.right > 50
    assert {process.pid for process in instance.processes("jnetd")} == jnetd


def test_requests_ride_on_a_ring(guests: list[Guest]) -> None:
    rider, _ = guests
    seen = rider.get("/ride")
    assert (seen["riding"], seen["error"]) == (1, 0)
    for size in (0, 1, 600, 40_000, 2_000_000):
        body = bytes(range(251)) * (size // 251 + 1)
        assert rider.echo(body[:size]).content == body[:size]
    counters = rider.counters()
    assert counters["ring_connections"] >= 1
    assert counters["ring_upgrades"] >= 1
    assert counters["ring_bytes_to_guest"] > 2_000_000
    assert counters["ring_bytes_to_host"] > 2_000_000
    assert counters["ring_violations"] == 0


def test_a_connection_goes_back_to_its_descriptor(guests: list[Guest]) -> None:
    rider, _ = guests
    assert rider.get("/leave")["riding"] == 0
    assert rider.echo(b"by the descriptor").content == b"by the descriptor"
    assert rider.get("/ride")["riding"] == 0
    assert rider.counters()["ring_leaves"] >= 1
    assert rider.get("/socket")["riding"] == 0


def test_only_connections_of_the_platform_get_a_ring(guests: list[Guest]) -> None:
    seen = guests[0].get("/forge")
    refused = {NO_RING, errno.EOPNOTSUPP, errno.ENOTSOCK}
    for end in ("pair", "plain", "forged", "inside", "gateway", "file"):
        assert seen[end] in refused, seen
    # It may not even bind to an address that is not its own; with an errno of the attempt, negated.
    assert seen["as_gateway"] in {NO_RING, -errno.EADDRNOTAVAIL}
    assert seen["bound"] == 0, "the guest's own namespace holds any name"
    assert (seen["short"], seen["option"]) == (errno.EINVAL, NO_RING)


def test_waiters_are_counted_and_come_back(guests: list[Guest]) -> None:
    rider, neighbour = guests
    for _ in range(3):
        seen = rider.get("/waiters")
        assert (seen["given"], seen["error"], seen["back"]) == (128, errno.ENOBUFS, 128)
        assert seen["refused"] == errno.EINVAL
    assert neighbour.get("/waiters")["given"] == 128


def test_a_corrupted_slab_hurts_only_its_own_sandbox(
    instance: Instance, guests: list[Guest]
) -> None:
    _assert_only_itself_suffers(instance, guests, "/corrupt")
    assert guests[0].counters()["ring_violations"] > 0
    assert guests[1].counters()["ring_violations"] == 0


def test_a_storm_of_bells_hurts_only_its_own_sandbox(
    instance: Instance, guests: list[Guest]
) -> None:
    _assert_only_itself_suffers(instance, guests, "/storm")
    assert guests[0].counters()["bells_muted"] > 0
    assert guests[1].counters()["bells_muted"] == 0
    rider = guests[0]
    eventually(lambda: rider.echo(b"after").content == b"after")


def test_upgrades_and_leaves_in_a_loop_hurt_nobody(instance: Instance, guests: list[Guest]) -> None:
    rider, neighbour = guests
    victim = Calls(neighbour, strict=True)
    victim.start()
    rider.get("/leap")
    for number in range(100):
        body = b"%d" % number
        answer = httpx.post(
            f"{instance.url}/function/{rider.name}/echo",
            content=body,
            headers={"Connection": "close"},
        )
        assert answer.content == body
    victim.finish()
    assert victim.wrong == []


def test_nothing_is_left_of_a_guest_that_is_killed(instance: Instance, guests: list[Guest]) -> None:
    rider, _ = guests
    rider.get("/ride")
    before = _descriptors(instance)
    with instance.api() as api:
        for _ in range(3):
            function = {"serviceName": rider.name, "replicas": 0}
            api.post(f"/system/scale-function/{rider.name}", json=function)
            eventually(lambda: rider.echo(b"again").content == b"again")
            assert rider.get("/ride")["riding"] == 1
    eventually(lambda: _descriptors(instance) <= before + 16)


def test_connections_ride_again_after_jnetd_was_killed(
    instance: Instance, guests: list[Guest]
) -> None:
    rider, _ = guests
    assert rider.get("/ride")["riding"] == 1
    for process in instance.processes("jnetd"):
        process.kill()

    def rides_again() -> bool:
        try:
            return bool(rider.get("/ride")["riding"]) and rider.echo(b"new").content == b"new"
        except (httpx.HTTPError, AssertionError):
            return False

    # The guest still has the slab of the one that died; it finds out by the slot's generation.
    eventually(rides_again, 30)
    assert rider.counters()["ring_upgrades"] >= 1


def _descriptors(instance: Instance) -> int:
    (jnetd,) = instance.processes("jnetd")
    return int(jnetd.num_fds())
