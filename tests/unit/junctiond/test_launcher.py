"""Goal: the fake launcher and the real one keep the same promises.

Method: one suite over both. The real one starts real processes; launcher process and keepers are stand-ins of a few
lines that keep to docs/protocols.md, because what the real ones do is tested in their own crate and end to end.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from junctiond.domain import Deployment
from junctiond.images.base import Image, ImageConfig
from junctiond.sandbox import remains
from junctiond.sandbox.base import KeeperState, Launcher, LaunchError, Status
from junctiond.sandbox.fake import FakeLauncher, FakeWorld
from junctiond.sandbox.launcher import ProcessLauncher, describe
from junctiond.sandbox.plan import Watchdog, make_plan
from junctiond.sandbox.spec import SandboxSpec, build
from junctiond.settings import Settings, load

LAUNCHER = """#!{python} -I
import json, os, select, signal, struct, subprocess, sys, time
daemon = 0
def tell(sandbox, state, clean):
    body = json.dumps(dict(event="ended", sandbox=sandbox, state=state, clean=clean)).encode()
    os.write(daemon, struct.pack("<I", len(body)) + body)
def folder(spec):
    return spec["run_dir"]
def ticks():
    return int(open("/proc/self/stat").read().rpartition(")")[2].split()[19])
def keep(spec):
    os.setsid()
    def state(status, **more):
        path = os.path.join(spec["run_dir"], "state.json")
        full = dict(protocol=1, id=spec["id"], status=status, keeper_pid=os.getpid(),
                    keeper_start_ticks=ticks(), init_pid=None, started_at_ns=None,
                    exit_code=None, signal=None, oom_killed=False, error=None)
        json.dump(full | more, open(path + ".new", "w"))
        os.rename(path + ".new", path)
    def term(number, frame):
        if "deaf" in spec["process"]["env"]:
            return
        state("exited", signal=15)
        os._exit(0)
    signal.signal(signal.SIGTERM, term)
    os.makedirs(spec["run_dir"])
    if "fail" in spec["process"]["env"]:
        state("failed", error="/handler: no such file")
        os._exit(1)
    state("running", init_pid=os.getpid())
    if "end" in spec["process"]["env"]:
        state("exited", exit_code=3)
        os._exit(0)
    os.close(daemon)
    while True:
        time.sleep(60)
keepers, specs, buffer = dict(), dict(), b""
while True:
    ready, _, _ = select.select([daemon], [], [], 0.01)
    if ready:
        data = os.read(daemon, 65536)
        if not data:
            sys.exit(0)
        buffer += data
    while len(buffer) >= 4 and len(buffer) >= 4 + struct.unpack("<I", buffer[:4])[0]:
        end = 4 + struct.unpack("<I", buffer[:4])[0]
        request, buffer = json.loads(buffer[4:end]), buffer[end:]
        if request["op"] == "launch":
            spec = request["spec"]
            pid = os.fork()
            if pid == 0:
                keep(spec)
            keepers[spec["id"]], specs[spec["id"]] = pid, spec
        elif request["sandbox"] in keepers:
            number = dict(stop=15, kill=9)[request["op"]]
            os.kill(keepers[request["sandbox"]], number)
    for sandbox, pid in list(keepers.items()):
        if os.waitpid(pid, os.WNOHANG)[0]:
            del keepers[sandbox]
            path = os.path.join(specs[sandbox]["run_dir"], "state.json")
            state = json.load(open(path)) if os.path.exists(path) else None
            clean = bool(state) and state["status"] in ("exited", "failed")
            if clean:
                os.unlink(path)
                os.rmdir(specs[sandbox]["run_dir"])
            tell(sandbox, state, clean)
"""


@dataclass
class Subject:
    """A launcher under test and how to make a second one in the same world."""

    launcher: Launcher
    again: Callable[[], Launcher]
    settings: Settings
    real: bool

    def spec(self, sandbox: str, *env: str) -> SandboxSpec:
        config = ImageConfig(entrypoint=("/handler",))
        deployment = Deployment("f", "i")
        image = Image("i", "sha256:0", (Path("/l"),), config)
        plan = make_plan(config, deployment, self.settings, Watchdog.NONE)
        spec = build(
            self.settings,
            sandbox,
            deployment,
            image,
            plan,
            address="10.62.0.2",
            gateway="10.62.0.1",
            uid_base=1_000_000,
            secrets=(),
            jinit=None,
        )
        process = msgspec.structs.replace(spec.process, env=env)
        return msgspec.structs.replace(spec, process=process)

    async def running(self, sandbox: str) -> KeeperState:
        async with asyncio.timeout(10):
            while (state := self.launcher.state(sandbox)) is None or state.status != "running":
                await asyncio.sleep(0.01)
        return state


@pytest.fixture(params=["fake", "real"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    settings = load(state_dir=tmp_path / "state", run_dir=tmp_path / "run")
    if request.param == "fake":
        world = FakeWorld()
        yield Subject(FakeLauncher(world), lambda: FakeLauncher(world), settings, False)
        return
    binary = tmp_path / "jsandbox"
    binary.write_text(LAUNCHER.format(python=sys.executable))
    binary.chmod(0o755)

    def make() -> ProcessLauncher:
        return ProcessLauncher(binary, settings.sandboxes_dir, "jd-test-launcher")

    launcher = make()
    yield Subject(launcher, make, settings, True)
    for sandbox in await launcher.adopt():
        launcher.kill(sandbox)
        await launcher.wait(sandbox)
    launcher.close()


async def test_a_sandbox_runs_until_it_is_stopped(subject: Subject):
    await subject.launcher.launch(subject.spec("f.1"))
    await subject.running("f.1")
    waiting = asyncio.gather(subject.launcher.wait("f.1"))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    subject.launcher.stop("f.1")
    (end,) = await waiting
    assert "SIGTERM" in end.message
    assert not end.failed
    await subject.launcher.forget("f.1")
    assert subject.launcher.state("f.1") is None
    subject.launcher.stop("f.1")
    subject.launcher.kill("f.1")


async def test_what_cannot_be_executed_says_why(subject: Subject):
    if isinstance(subject.launcher, FakeLauncher):
        subject.launcher.world.fail_next.append("/handler: no such file")
    await subject.launcher.launch(subject.spec("f.1", "fail"))
    end = await subject.launcher.wait("f.1")
    assert (end.message, end.failed) == ("/handler: no such file", True)


async def test_an_exit_code_is_told(subject: Subject):
    await subject.launcher.launch(subject.spec("f.1", "end"))
    if isinstance(subject.launcher, FakeLauncher):
        subject.launcher.world.end("f.1", code=3)
    end = await subject.launcher.wait("f.1")
    assert end.message == "the function exited with status 3"


async def test_a_killed_keeper_is_told(subject: Subject):
    await subject.launcher.launch(subject.spec("f.1", "deaf"))
    await subject.running("f.1")
    if isinstance(subject.launcher, FakeLauncher):
        subject.launcher.world.deaf = True
    subject.launcher.stop("f.1")
    await asyncio.sleep(0.05)
    subject.launcher.kill("f.1")
    assert "killed together with its keeper" in (await subject.launcher.wait("f.1")).message


async def test_a_later_launcher_takes_over_what_runs_and_clears_what_does_not(subject: Subject):
    for name in ("f.1", "f.2"):
        await subject.launcher.launch(subject.spec(name))
        await subject.running(name)
    subject.launcher.kill("f.2")
    await subject.launcher.wait("f.2")
    subject.launcher.close()
    subject.launcher = later = subject.again()
    assert await later.adopt() == {"f.1"}
    assert later.state("f.2") is None
    later.stop("f.1")
    assert "SIGTERM" in (await later.wait("f.1")).message
    await later.forget("f.1")
    assert await subject.again().adopt() == set()


async def test_sandboxes_outlive_the_launcher_process(subject: Subject):
    if not isinstance(subject.launcher, ProcessLauncher):
        pytest.skip("a fake has no process")
    for name in ("f.1", "f.2"):
        await subject.launcher.launch(subject.spec(name))
        await subject.running(name)
    waiting = [asyncio.create_task(subject.launcher.wait(name)) for name in ("f.1", "f.2")]
    service = subject.launcher._service
    assert service is not None
    os.kill(service.pid, signal.SIGKILL)
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in waiting)
    subject.launcher.stop("f.1")
    assert "SIGTERM" in (await waiting[0]).message
    await subject.launcher.forget("f.1")
    assert subject.launcher.state("f.1") is None
    await subject.launcher.launch(subject.spec("f.3"))
    await subject.running("f.3")
    subject.launcher.kill("f.2")
    assert "killed together" in (await waiting[1]).message


async def test_an_older_keeper_is_adopted_and_a_reused_pid_is_not(tmp_path: Path):
    settings = load(state_dir=tmp_path / "state", run_dir=tmp_path / "run")
    folder = settings.sandboxes_dir / "f.1"
    folder.mkdir(parents=True)

    def write(pid: int, ticks: str) -> None:
        text = f'{{"id":"f.1","status":"running","keeper_pid":{pid},"keeper_start_ticks":{ticks}}}'
        folder.mkdir(exist_ok=True)
        (folder / "state.json").write_text(text)

    launcher = ProcessLauncher(tmp_path / "jsandbox", settings.sandboxes_dir, "jd-test-launcher")
    write(os.getpid(), "null")
    assert await launcher.adopt() == set()
    assert not folder.exists()
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", str(folder / "spec.json")]
    )
    try:
        write(sleeper.pid, "1")
        assert await launcher.adopt() == set()
        write(sleeper.pid, "null")
        assert await launcher.adopt() == {"f.1"}
    finally:
        sleeper.kill()
        sleeper.wait()
        launcher.close()


async def test_no_binary_leaves_nothing(tmp_path: Path):
    subject = Subject(
        ProcessLauncher(tmp_path / "none", tmp_path / "run", "jd-test-launcher"),
        lambda: FakeLauncher(),
        load(state_dir=tmp_path / "state", run_dir=tmp_path),
        True,
    )
    with pytest.raises(LaunchError, match="cannot start none"):
        await subject.launcher.launch(subject.spec("f.1"))
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_launcher_that_ends_at_once_is_told(tmp_path: Path):
    binary = tmp_path / "jsandbox"
    binary.write_text("#!/bin/sh\nexit 1\n")
    binary.chmod(0o755)
    settings = load(state_dir=tmp_path / "state", run_dir=tmp_path / "run")
    launcher = ProcessLauncher(binary, settings.sandboxes_dir, "jd-test-launcher")
    await launcher.launch(Subject(launcher, lambda: launcher, settings, True).spec("f.1"))
    async with asyncio.timeout(10):
        end = await launcher.wait("f.1")
    assert end.failed
    launcher.close()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (None, "could not be built"),
        (KeeperState("i", Status.BUILDING), "killed together"),
        (KeeperState("i", Status.FAILED, error="why"), "why"),
        (KeeperState("i", Status.EXITED, exit_code=2), "status 2"),
        (KeeperState("i", Status.EXITED, signal=int(signal.SIGSEGV)), "SIGSEGV"),
        (KeeperState("i", Status.EXITED, signal=9, oom_killed=True), "out of memory"),
        (KeeperState("i", Status.EXITED, signal=63), "63"),
    ],
)
def test_every_end_is_one_sentence(state: KeeperState | None, expected: str):
    assert expected in describe(state).message


MOUNTINFO = """\
30 23 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 23 0:28 / /a\\040b rw - tmpfs tmpfs rw
"""


def test_control_groups_are_found_on_both_versions():
    found = remains.cgroup_folders("junctiond", "f.1", MOUNTINFO)
    assert list(map(str, found)) == [
        "/sys/fs/cgroup/memory/junctiond/f.1",
        "/sys/fs/cgroup/unified/junctiond/f.1",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_nothing_is_deleted_through_a_mount(tmp_path: Path):
    source, target = tmp_path / "source", tmp_path / "run" / "a b"
    source.mkdir()
    (source / "precious").touch()
    target.mkdir(parents=True)
    subprocess.run(["mount", "--bind", source, target], check=True)
    assert remains.unmount_below(tmp_path / "run")
    assert list(target.iterdir()) == []
    assert (source / "precious").exists()
