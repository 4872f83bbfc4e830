"""The commands as a user types them, against the fake host behind the real gRPC service, in real processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from junctiond.cli import stop
from junctiond.domain import Deployment
from junctiond.settings import Settings
from junctiond.testing.fake_host import FakeHost, serve_fake_host

Finished = tuple[int, str, str]


async def junctiond(run_dir: Path, *arguments: str) -> Finished:
    process = await start(run_dir, *arguments)
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


async def start(run_dir: Path, *arguments: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "JUNCTIOND_RUN_DIR": str(run_dir), "COLUMNS": "200"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "junctiond.cli.app", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def deploy(host: FakeHost) -> None:
    secret = {"PASSWORD_OF_MINE": "hunter2"}
    await host.create(Deployment("aes", "127.0.0.1:5000/aes:1", env=secret))
    await host.create(Deployment("hello", "127.0.0.1:5000/hello:1"))
    host.kill_replicas("hello")


async def test_ps(tmp_path: Path) -> None:
    async with serve_fake_host(tmp_path / "host.sock") as host:
        assert "no functions" in (await junctiond(tmp_path, "ps"))[1]
        await deploy(host)
        status, table, _ = await junctiond(tmp_path, "ps")
        document = json.loads((await junctiond(tmp_path, "ps", "--json"))[1])
    assert status == 0
    assert "aes.openfaas-fn.0" in table
    assert "killed by the test" in table
    assert [one["name"] for one in document["functions"]] == ["aes", "hello"]
    assert document["sandboxes"][0]["state"] == "ready"
    assert "hunter2" not in json.dumps(document)


async def test_logs(tmp_path: Path) -> None:
    async with serve_fake_host(tmp_path / "host.sock") as host:
        await deploy(host)
        for number in range(3):
            await host.write_log("aes", f"line {number}")
        _, text, _ = await junctiond(tmp_path, "logs", "aes", "--tail", "2", "--no-times")
        _, lines, _ = await junctiond(tmp_path, "logs", "aes.openfaas-fn", "--json")
        unknown = await junctiond(tmp_path, "logs", "nobody")
    assert text == "line 1\nline 2\n"
    assert [json.loads(line)["text"] for line in lines.splitlines()] == [
        "line 0",
        "line 1",
        "line 2",
    ]
    assert unknown[0] == 1
    assert "error: function: nobody.openfaas-fn not found" in unknown[2]


async def test_logs_follow_until_interrupted(tmp_path: Path) -> None:
    async with serve_fake_host(tmp_path / "host.sock") as host:
        await deploy(host)
        await host.write_log("aes", "before")
        process = await start(tmp_path, "logs", "aes", "-f", "--no-times")
        assert process.stdout is not None
        assert await process.stdout.readline() == b"before\n"
        await host.write_log("aes", "after")
        assert await process.stdout.readline() == b"after\n"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


async def test_stats(tmp_path: Path) -> None:
    counters = {"name": "aes", "namespace": "openfaas-fn", "started": 41, "codes": {"200": 41}}
    async with serve_fake_host(tmp_path / "host.sock") as host:
        await deploy(host)
        host.dataplane_json = json.dumps({"functions": [counters], "workers": [{"requests": 41}]})
        document = json.loads((await junctiond(tmp_path, "stats", "--json"))[1])
        _, table, _ = await junctiond(tmp_path, "stats")
    assert document["functions"][0]["invocations"] == 41
    assert "200:41" in table


async def test_no_daemon_is_told_with_the_mend(tmp_path: Path) -> None:
    for command in (["ps"], ["stats"], ["logs", "aes"]):
        status, _, stderr = await junctiond(tmp_path, *command)
        assert status == 1
        assert str(tmp_path / "host.sock") in stderr
        assert "junctiond up" in stderr
        assert "Traceback" not in stderr


async def test_bad_settings_are_told(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("lissten = 1\n")
    status, _, stderr = await junctiond(tmp_path, "ps", "--config", str(config))
    assert status == 1
    assert "unknown setting 'lissten'" in stderr


async def test_down_with_nothing_there(tmp_path: Path) -> None:
    status, _, stderr = await junctiond(tmp_path, "down")
    assert (status, "nothing runs" in stderr) == (1, True)


async def test_check_as_json(tmp_path: Path) -> None:
    status, stdout, _ = await junctiond(tmp_path, "check", "--json", "--listen", "127.0.0.1:1")
    document = json.loads(stdout)
    assert status == (0 if document["sufficient"] else 1)
    assert "root" in {feature["name"] for feature in document["features"]}


LISTENER = """
import signal, socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


def listener(path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", LISTENER, str(path), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.stdout.close()
    return process


def test_down_ends_daemon_keepers_and_data_plane(tmp_path: Path) -> None:
    settings = Settings(run_dir=tmp_path)
    folder = settings.sandboxes_dir / "aes.openfaas-fn.1"
    folder.mkdir(parents=True)
    daemon, plane = listener(settings.host_socket), listener(settings.control_socket)
    keeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(folder)])
    state = {"protocol": 1, "id": folder.name, "status": "running", "keeper_pid": keeper.pid}
    (folder / "state.json").write_text(json.dumps(state))
    try:
        assert stop.listener_pid(settings.host_socket) == daemon.pid
        steps: list[str] = []
        assert stop.down(settings, steps.append)
        assert [daemon.wait(5), keeper.wait(5), plane.wait(5)] == [-signal.SIGTERM] * 3
        assert [step.split(" (")[0] for step in steps] == [
            "stopping the daemon",
            "stopping 1 sandboxes",
            "stopping the data plane",
        ]
        assert not stop.down(settings, steps.append)
    finally:
        for process in (daemon, plane, keeper):
            process.kill()
            process.wait()


def test_who_does_not_end_is_killed(tmp_path: Path) -> None:
    stubborn = listener(tmp_path / "sock", "ignore SIGTERM")
    before_ns = time.monotonic_ns()
    stop.end([stubborn.pid], wait_s=0.2)
    assert stubborn.wait(5) == -signal.SIGKILL
    assert time.monotonic_ns() - before_ns >= 200_000_000


@pytest.mark.parametrize("state", ["no json", '{"id": "x", "status": "exited", "keeper_pid": 1}'])
def test_state_files_of_ended_or_unknown_keepers_stop_nobody(tmp_path: Path, state: str) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "state.json").write_text(state)
    assert stop.keeper_pids(tmp_path) == []


def test_a_reused_pid_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    state = {"id": "x", "status": "running", "keeper_pid": os.getpid()}
    (folder / "state.json").write_text(json.dumps(state))
    assert stop.keeper_pids(tmp_path) == []
