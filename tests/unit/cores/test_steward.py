"""Goal: the steward sleeps while nothing happens, and moves threads when something does. Method: fakes, virtual time."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from junctiond.cores import steward as module
from junctiond.cores.base import Wish
from junctiond.cores.fake import FakeCores
from junctiond.cores.layout import Mode, plan
from junctiond.cores.pressure import PressureAlarm
from junctiond.cores.steward import Steward
from junctiond.dataplane.fake import FakeDataplane
from junctiond.testing.virtual_time import VirtualTimeLoop, run

OWNER = ("n", "f")


class Plane(FakeDataplane):
    """A data plane whose function answers so many requests a second over rings."""

    def __init__(self, rate: int = 0) -> None:
        super().__init__()
        self.rate = rate

    async def stats_json(self) -> str:
        started = int(asyncio.get_running_loop().time() * self.rate)
        return json.dumps(
            {
                "functions": [{"name": "f", "namespace": "n", "started": started}],
                "sandboxes": [{"sandbox": "a", "ring_connections": 1}],
            }
        )


@pytest.fixture(autouse=True)
def _no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PressureAlarm", lambda: PressureAlarm(Path("/nowhere")))


@contextlib.asynccontextmanager
async def running(
    cores: FakeCores, plane: Plane | None = None, mode: Mode = Mode.BALANCED, count: int = 2
) -> AsyncIterator[Steward]:
    loop = asyncio.get_running_loop()
    layout = plan(mode, range(count))
    plane = plane or Plane()
    steward = Steward(layout, cores, cores, plane, now_ns=lambda: round(loop.time() * 1e9))
    task = asyncio.ensure_future(steward.run())
    try:
        yield steward
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_a_calm_host_is_looked_at_every_five_seconds_and_no_sandbox_is() -> None:
    async def scene(loop: VirtualTimeLoop) -> None:
        cores = FakeCores(busy={0: 0.2, 1: 0.1}, door={0: 0.05})
        async with running(cores) as steward:
            for number in range(1000):
                steward.seat(f"s{number}", OWNER, Wish.HOST)
            await asyncio.sleep(600)
            assert steward.looks <= 600 / 5 + 3
            assert set(cores.asked) == {0}

    run(scene)


def test_a_host_that_others_keep_busy_is_not_watched_for_it() -> None:
    async def scene(loop: VirtualTimeLoop) -> None:
        cores = FakeCores(busy={0: 1.0, 1: 1.0}, door={0: 0.001}, shares={"a": 0.001})
        async with running(cores) as steward:
            steward.seat("a", OWNER, Wish.HOST)
            await asyncio.sleep(600)
            assert steward.looks <= 600
            assert cores.placed == {}
            cores.shares = {"a": 0.4}
            await asyncio.sleep(12)
            assert cores.placed == {"a": (1,)}

    run(scene)


def test_a_burner_is_moved_and_brought_back() -> None:
    async def scene(loop: VirtualTimeLoop) -> None:
        cores = FakeCores(busy={0: 1.0, 1: 0.0}, door={0: 0.05}, shares={"a": 0.9, "b": 0.01})
        async with running(cores) as steward:
            assert steward.seat("a", OWNER, Wish.HOST) == (0,)
            assert steward.seat("b", OWNER, Wish.HOST) == (0,)
            await asyncio.sleep(7)
            assert cores.placed == {"a": (1,)}
            cores.busy, cores.shares = {0: 0.1, 1: 0.0}, {"a": 0.0}
            await asyncio.sleep(10)
            assert cores.placed == {"a": (0,)}
            place = steward.assignment("a")
            assert place is not None
            assert place.moves == 2
            steward.leave("a")
            assert steward.assignment("a") is None

    run(scene)


@pytest.mark.parametrize(
    ("mode", "expected"), [(Mode.OFF, (0, 1)), (Mode.BALANCED, (0,)), (Mode.ECO, (0,))]
)
def test_who_runs_already_is_put_where_a_new_one_would_begin(
    mode: Mode, expected: tuple[int, ...]
) -> None:
    async def scene(loop: VirtualTimeLoop) -> None:
        cores = FakeCores()
        async with running(cores, mode=mode) as steward:
            steward.adopt("a", OWNER, Wish.HOST)
            assert cores.placed == {"a": expected}

    run(scene)


def test_a_spin_is_granted_to_who_is_apart_and_called_often() -> None:
    async def scene(loop: VirtualTimeLoop) -> None:
        cores = FakeCores(busy={0: 1.0, 1: 0.0}, door={0: 0.01}, shares={"a": 0.6})
        plane = Plane(rate=40_000)
        plane.listening["a"] = {8080}
        async with running(cores, plane) as steward:
            steward.seat("a", OWNER, Wish.HOST)
            await asyncio.sleep(10)
            assert 20 <= plane.spins["a"] <= 50
            assert steward.spin_us("a") == plane.spins["a"]
            plane.rate = 0
            await asyncio.sleep(2)
            assert plane.spins["a"] == 0

    run(scene)


def test_latency_lends_an_idle_core_to_who_polls() -> None:
    async def scene(loop: VirtualTimeLoop) -> None:
        cores = FakeCores(busy={0: 0.5, 1: 0.1}, door={0: 0.3}, shares={"a": 0.2})
        plane = Plane(rate=25_000)
        plane.listening["a"] = {8080}
        async with running(cores, plane, Mode.LATENCY) as steward:
            steward.seat("a", OWNER, Wish.HOST)
            await asyncio.sleep(10)
            assert cores.placed == {"a": (1,)}
            assert 20 <= plane.spins["a"] <= 50
            place = steward.assignment("a")
            assert place is not None
            assert place.reason == "polls for its next request"
            plane.rate, cores.door = 100, {0: 0.01}
            await asyncio.sleep(10)
            assert cores.placed == {"a": (0,)}
            assert plane.spins["a"] == 0
            looks = steward.looks
            await asyncio.sleep(60)
            assert steward.looks - looks <= 13, "it sleeps again"

    run(scene)


def test_a_refusal_is_said_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(loop: VirtualTimeLoop) -> None:
        cores = FakeCores(
            usable=frozenset({0}), busy={0: 1.0, 1: 0.0}, door={0: 0.0}, shares={"a": 0.9}
        )
        async with running(cores) as steward:
            steward.seat("a", OWNER, Wish.HOST)
            await asyncio.sleep(30)
            assert steward.looks > 20

    run(scene)
    assert [record.message for record in caplog.records].count("sandbox not moved") == 1


@pytest.mark.parametrize(("mode", "count"), [(Mode.OFF, 2), (Mode.BALANCED, 1)])
def test_where_there_is_nothing_to_choose_it_ends(mode: Mode, count: int) -> None:
    async def scene(loop: VirtualTimeLoop) -> None:
        async with running(FakeCores(), mode=mode, count=count) as steward:
            assert steward.seat("a", OWNER, Wish.HOST) == ()
            await asyncio.sleep(60)
            assert steward.looks == 0

    run(scene)
