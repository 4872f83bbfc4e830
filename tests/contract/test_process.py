"""The provider as a process: its start, its end, and a host daemon that comes and goes."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from junctiond.api.service import serve
from junctiond.domain import Deployment
from junctiond.testing.fake_host import FakeHost
from provider.credentials import load
from provider.limits import SHUTDOWN_GRACE_S
from provider.serve import Settings, running

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 10.0


@contextmanager
def start(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    common = ["--host-socket", str(folder / "host.sock"), "--secrets-dir", str(folder / "secrets")]
    with subprocess.Popen(
        [sys.executable, "-m", "provider", *common, *arguments],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_without_a_host_and_ends_on_a_signal(tmp_path: Path, number: int) -> None:
    path = tmp_path / "provider.sock"
    with start(tmp_path, "--listen", f"unix:{path}") as process:
        wait_for(path)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert client.get("http://provider/healthz").status_code == 502
            account = load(tmp_path / "secrets")
            answer = client.get(
                "http://provider/system/info", auth=(account.user, account.password)
            )
            assert answer.status_code == 502
            assert "junctiond does not answer" in answer.text
        process.send_signal(number)
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 0
    assert not path.exists()
    events = [json.loads(line) for line in said.splitlines()]
    assert [one["event"] for one in events] == ["listening", "request", "request", "stopped"]
    assert account.password not in said


def test_a_taken_address_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with start(tmp_path, "--listen", f"unix:{tmp_path / 'file'}") as process:
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 1
    assert said.startswith("provider: cannot listen on ")
    assert said.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_taken_address_of_the_metrics_page_does_not_stop_the_api(tmp_path: Path) -> None:
    path = tmp_path / "provider.sock"
    with socket.create_server(("127.0.0.1", 0)) as other:
        metrics = f"127.0.0.1:{other.getsockname()[1]}"
        with start(tmp_path, "--listen", f"unix:{path}", "--metrics", metrics) as process:
            wait_for(path)
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
                assert client.get("http://provider/").status_code == 301
            process.terminate()
            said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 0
    warnings = [one for line in said.splitlines() if metrics in (one := json.loads(line))["event"]]
    assert len(warnings) == 1
    assert "metrics_listen" in warnings[0]["event"]


def test_another_user_gets_nothing_even_through_an_open_socket(tmp_path: Path) -> None:
    path = Path(tempfile.mkdtemp(prefix="provider-")) / "provider.sock"
    path.parent.chmod(0o755)
    stranger = (
        "import os, socket, sys\n"
        "os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))\n"
        "with socket.socket(socket.AF_UNIX) as s:\n"
        "    s.connect(sys.argv[1])\n"
        "    s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "    print(s.recv(100))\n"
    )
    command = [sys.executable, "-I", "-S", "-c", stranger, str(path)]
    theirs, ours = "65534", "0"
    with start(tmp_path, "--listen", f"unix:{path}") as process:
        wait_for(path)
        path.chmod(0o666)
        answers = [
            subprocess.run([*command, user], capture_output=True, check=False).stdout
            for user in (ours, theirs)
        ]
        process.terminate()
        said = process.communicate(timeout=PATIENCE_S)[1]
    path.parent.rmdir()
    assert b"HTTP/1.1 502" in answers[0]
    assert b"HTTP/1.1" not in answers[1]
    assert "connection of another user refused" in said


def test_an_idle_provider_sleeps(tmp_path: Path) -> None:
    path = tmp_path / "provider.sock"
    with start(tmp_path, "--listen", f"unix:{path}", "--metrics", "127.0.0.1:0") as process:
        wait_for(path)
        time.sleep(0.5)
        before = _switches(process.pid)
        time.sleep(1.0)
        woken = _switches(process.pid) - before
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    # Ten looks a second by each of two servers would be twenty; gRPC's own threads look now and then.
    assert woken < 10


def _switches(pid: int) -> int:
    status = Path(f"/proc/{pid}/task/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("voluntary")]
    return int(line.split()[1])


@pytest.fixture
async def host() -> FakeHost:
    found = FakeHost()
    found.now_ns = time.time_ns()
    await found.create(Deployment("talk", "registry.example/fn/talk:v1"))
    return found


async def test_a_follower_does_not_hold_up_the_end(tmp_path: Path, host: FakeHost) -> None:
    settings = Settings(tmp_path / "host.sock", "tcp:127.0.0.1:0", tmp_path / "secrets")
    server = await serve(host, settings.host_socket)
    async with httpx.AsyncClient(trust_env=False) as client:
        async with running(settings) as (address,):
            account = load(settings.secrets_dir)
            url = address.replace("tcp:", "http://", 1) + "/system/logs?name=talk&follow=true"
            request = client.build_request("GET", url)
            answer = await client.send(request, auth=(account.user, account.password), stream=True)
            started_ns = time.monotonic_ns()
        assert time.monotonic_ns() - started_ns < SHUTDOWN_GRACE_S * 10**9
        # It ended as a whole answer, not as a cut one.
        assert await answer.aread() == b""
    await server.stop(grace=0)


async def test_a_follow_goes_on_across_a_restart_of_the_daemon(
    tmp_path: Path, host: FakeHost
) -> None:
    settings = Settings(tmp_path / "host.sock", "tcp:127.0.0.1:0", tmp_path / "secrets")
    server = await serve(host, settings.host_socket)
    async with running(settings) as (address,):
        account = load(settings.secrets_dir)
        url = address.replace("tcp:", "http://", 1)
        auth = (account.user, account.password)
        async with (
            httpx.AsyncClient(base_url=url, auth=auth, trust_env=False) as client,
            client.stream("GET", "/system/logs?name=talk&follow=true") as answer,
            asyncio.timeout(PATIENCE_S),
        ):
            lines = answer.aiter_lines()
            await host.write_log("talk", "before")
            assert json.loads(await anext(lines))["text"] == "before"
            await server.stop(grace=0)
            await host.write_log("talk", "while it was away")
            server = await serve(host, settings.host_socket)
            await host.write_log("talk", "after")
            assert json.loads(await anext(lines))["text"] == "while it was away"
            assert json.loads(await anext(lines))["text"] == "after"
            await host.delete("talk", "openfaas-fn")
            await server.stop(grace=0)
