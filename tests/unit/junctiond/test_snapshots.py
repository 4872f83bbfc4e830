"""Goal: a snapshot is used only for the start that it was taken of, and never stays longer than what it holds."""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from junctiond.dataplane.fake import FakeDataplane
from junctiond.domain import Deployment
from junctiond.images.base import Image, ImageConfig
from junctiond.lifecycle.generation import Generation
from junctiond.sandbox.base import KeeperState, SnapshotOutcome, Status
from junctiond.sandbox.fake import FakeLauncher, FakeWorld
from junctiond.sandbox.plan import SnapshotChoice, Watchdog, make_plan
from junctiond.sandbox.spec import SandboxSpec, Secret, SnapshotWish, build
from junctiond.settings import Settings
from junctiond.snapshots.maker import SnapshotMaker
from junctiond.snapshots.process import Program, look
from junctiond.snapshots.shelf import AGE_NS_MAX, Shelf
from junctiond.snapshots.worth import CPU_NS_MIN, Start, objection, worth_taking
from junctiond.store import Lease

OWNER = ("openfaas-fn", "hello")


def generation(annotation: str = "auto", **environment: str) -> Generation:
    config = ImageConfig(entrypoint=("/handler",))
    deployment = Deployment(
        name="hello",
        namespace="openfaas-fn",
        image="registry/hello",
        env=environment,
        annotations={"com.junctiond.snapshot": annotation},
    )
    image = Image("registry/hello", "sha256:1", (Path("/layers/1"),), config)
    plan = make_plan(config, deployment, Settings(), Watchdog.NONE)
    return Generation(1, deployment, image, Watchdog.NONE, plan)


def specification(
    sandbox: str = "hello.openfaas-fn.1", *, address: str = "10.62.0.5", **environment: str
) -> SandboxSpec:
    one = generation(**environment)
    return build(
        Settings(),
        sandbox,
        one.deployment,
        one.image,
        one.plan,
        address=address,
        gateway="10.62.0.1",
        uid_base=1_000_000,
        secrets=(),
        jinit=None,
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    restorer = tmp_path / "jrestore"
    restorer.write_bytes(b"x")
    return Shelf(tmp_path / "snapshots", restorer)


def write(shelf: Shelf, key: str) -> Path:
    shelf.claim(OWNER, key)
    shelf.draft(OWNER, key, ".taken").write_bytes(b"memory")
    shelf.publish(OWNER, key)
    return shelf.path(OWNER, key)


def test_replicas_of_one_generation_share_a_key(shelf: Shelf) -> None:
    first, second = specification(), specification("hello.openfaas-fn.2", address="10.62.0.9")
    assert shelf.key(first) == shelf.key(second)
    assert shelf.key(first) != shelf.key(specification(COLOUR="green"))


def test_a_secret_that_changed_changes_the_key(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("one")
    spec = msgspec.structs.replace(specification(), secrets=(Secret("key", str(file)),))
    before = shelf.key(spec)
    fresh = tmp_path / "fresh"
    fresh.write_text("two")
    fresh.replace(file)
    assert shelf.key(spec) != before


def test_a_specification_is_led_to_its_own_file_only(shelf: Shelf) -> None:
    spec = specification()
    assert shelf.apply(spec, OWNER, SnapshotChoice.AUTO) == spec
    path = write(shelf, shelf.key(spec))
    wish = shelf.apply(spec, OWNER, SnapshotChoice.AUTO).snapshot
    assert isinstance(wish, SnapshotWish)
    assert wish.restore == str(path)
    assert shelf.apply(spec, OWNER, SnapshotChoice.NEVER) == spec
    other = specification(COLOUR="green")
    assert shelf.apply(other, OWNER, SnapshotChoice.AUTO) == other


def test_an_old_file_is_removed_instead_of_used(shelf: Shelf) -> None:
    key = shelf.key(specification())
    path = write(shelf, key)
    old_ns = time.time_ns() - AGE_NS_MAX - 10**9
    os.utime(path, ns=(old_ns, old_ns))
    assert shelf.fresh(OWNER, key) is None
    assert not path.exists()


def test_files_go_with_their_generation_function_and_secrets(shelf: Shelf) -> None:
    first = write(shelf, "a" * 32)
    second = write(shelf, "b" * 32)
    assert not first.exists()
    shelf.drop(OWNER)
    assert not second.exists()
    third = write(shelf, "c" * 32)
    shelf.drop_namespace("openfaas-fn")
    assert not third.exists()
    assert not shelf.wants(OWNER, "c" * 32), "what is being written for it is not wanted any more"


def test_a_start_of_the_daemon_removes_what_belongs_to_nobody(shelf: Shelf) -> None:
    path = write(shelf, "a" * 32)
    draft = shelf.draft(OWNER, "a" * 32, ".taken")
    draft.write_bytes(b"half")
    shelf.retain([OWNER])
    assert path.exists()
    assert not draft.exists()
    shelf.retain([])
    assert not path.exists()


SLOW = Program(cpu_ns=CPU_NS_MIN, threads=1)


@pytest.mark.parametrize(
    ("choice", "program", "changes", "expected"),
    [
        (SnapshotChoice.AUTO, SLOW, {}, True),
        (SnapshotChoice.AUTO, replace(SLOW, cpu_ns=CPU_NS_MIN - 1), {}, False),
        (SnapshotChoice.AUTO, replace(SLOW, threads=2), {}, True),
        (SnapshotChoice.AUTO, replace(SLOW, threads=3), {}, False),
        (SnapshotChoice.AUTO, None, {}, False),
        (SnapshotChoice.ALWAYS, None, {}, True),
        (SnapshotChoice.NEVER, SLOW, {}, False),
        (SnapshotChoice.ALWAYS, SLOW, {"restored": True}, False),
        (SnapshotChoice.ALWAYS, SLOW, {"exists": True}, False),
        (SnapshotChoice.ALWAYS, SLOW, {"refused": True}, False),
    ],
)
def test_only_slow_starts_are_worth_it_unless_asked_for(
    choice: SnapshotChoice, program: Program | None, changes: dict[str, bool], expected: bool
) -> None:
    facts = {"restored": False, "exists": False, "refused": False} | changes
    assert worth_taking(Start(choice=choice, program=program, **facts)) is expected


def test_a_program_is_seen_by_its_process_1() -> None:
    command = "import os, time; os.fork() or time.sleep(99); os.wait()"
    with subprocess.Popen([sys.executable, "-c", command]) as parent:
        try:
            deadline = time.monotonic() + 10
            while (seen := look(parent.pid)) is None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert seen is not None
            assert seen.threads == 1
            assert seen.cpu_ns >= 0
        finally:
            for child in psutil.Process(parent.pid).children():
                child.kill()
    assert look(parent.pid) is None


def test_a_start_that_used_the_network_is_objected_to() -> None:
    assert objection(SnapshotChoice.AUTO, 2, 1) == ""
    assert "network" in objection(SnapshotChoice.AUTO, 3, 1)
    assert objection(SnapshotChoice.ALWAYS, 99, 1) == ""


class FakeBuilder:
    """A workshop with one bench."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def begin(self, generation: Generation) -> Lease:
        return Lease("hello.openfaas-fn.b", *OWNER, generation.number, 1, 8080, 0)

    async def specification(self, lease: Lease, generation: Generation) -> SandboxSpec:
        return specification(lease.sandbox)

    async def forget(self, sandbox: str) -> None:
        self.forgotten.append(sandbox)


async def made(shelf: Shelf, outcome: SnapshotOutcome, during: object = None) -> FakeBuilder:
    """One slow start is noticed; the sandbox that is built for it ends with `outcome`."""
    world, builder = FakeWorld(), FakeBuilder()
    maker = SnapshotMaker(
        Settings(),
        builder,
        FakeLauncher(world),
        FakeDataplane(),
        shelf,
        pause_s=0.0,
        look=lambda _: SLOW,
    )
    lease = Lease("hello.openfaas-fn.1", *OWNER, 1, 0, 8080, 0)
    state = KeeperState(lease.sandbox, Status.RUNNING, init_pid=7)
    maker.consider(lease, generation(), specification(), state)
    maker.consider(lease, generation(), specification(), state)  # a second replica, just as slow
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(maker.run())
        while not world.sandboxes:
            await asyncio.sleep(0.001)
        (spec,) = world.launched
        assert isinstance(spec.snapshot, SnapshotWish)
        assert spec.snapshot.take is not None
        if outcome.taken_bytes:
            Path(spec.snapshot.take.file).write_bytes(b"memory")
        if callable(during):
            during()
        sandbox = world.sandboxes[spec.id]
        sandbox.state = msgspec.structs.replace(sandbox.state, snapshot=outcome)
        world.end(spec.id)
        while not builder.forgotten:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        running.cancel()
    assert len(world.launched) == 1
    return builder


async def test_a_slow_start_is_captured_once(shelf: Shelf) -> None:
    await made(shelf, SnapshotOutcome(taken_bytes=6))
    assert shelf.fresh(OWNER, shelf.key(specification())) is not None
    assert shelf.counts.taken == shelf.counts.frozen().taken == 1


async def test_a_refusal_is_remembered_with_its_reason(shelf: Shelf) -> None:
    await made(shelf, SnapshotOutcome(refused="it has threads"))
    assert shelf.fresh(OWNER, shelf.key(specification())) is None
    assert shelf.counts.refused == 1
    assert shelf.counts.reasons[OWNER] == "it has threads"


async def test_what_was_captured_for_a_function_that_went_is_removed(shelf: Shelf) -> None:
    await made(shelf, SnapshotOutcome(taken_bytes=6), lambda: shelf.drop_namespace(OWNER[0]))
    assert shelf.fresh(OWNER, shelf.key(specification())) is None
    assert shelf.counts.taken == 0


def test_without_a_restorer_there_are_no_snapshots(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, None)
    spec = specification()
    assert shelf.apply(spec, OWNER, SnapshotChoice.ALWAYS) == spec


async def test_a_snapshot_that_never_lasts_is_not_taken_for_ever(shelf: Shelf) -> None:
    for _ in range(3):
        await made(shelf, SnapshotOutcome(taken_bytes=6))
        shelf.path(OWNER, shelf.key(specification())).unlink()  # its replica did not live
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await made(shelf, SnapshotOutcome(taken_bytes=6))
    shelf.drop(OWNER)
    await made(shelf, SnapshotOutcome(taken_bytes=6))
    assert shelf.counts.taken == 4
