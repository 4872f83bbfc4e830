"""Goal: the sample images' programs do what their headers say, without any platform around them.

Method: the real programs as child processes on loopback.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

FUNCTIONS = Path(__file__).resolve().parents[3] / "functions"
NIST_PLAIN = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
NIST_CIPHER = bytes.fromhex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Go programs."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("aes", "fwatchdog"):
        subprocess.run(
            ["go", "build", "-o", str(folder / name), "."],
            cwd=FUNCTIONS / name,
            env=os.environ | {"CGO_ENABLED": "0"},
            check=True,
        )
    return folder


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(
    command: list[str], folder: Path, **environment: str
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """Runs a server with `PORT` and `port` set, and a client that keeps its connection."""
    port = str(free_port())
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PORT": port, "port": port, "TMPDIR": "/tmp"} | environment,
    )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=5, trust_env=False
        ) as client:
            deadline_ns = time.monotonic_ns() + 10_000_000_000
            while True:
                try:
                    client.get("/_/health")
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    assert time.monotonic_ns() < deadline_ns
                    time.sleep(0.02)
            yield client, process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(120)
def test_aes_encrypts_as_the_standard_says(programs: Path, tmp_path: Path):
    with served([str(programs / "aes")], tmp_path) as (client, _):
        assert client.post("/", content=NIST_PLAIN).content == NIST_CIPHER
        assert (
            client.post("/", content=iter([NIST_PLAIN[:5], NIST_PLAIN[5:]])).content == NIST_CIPHER
        )
        assert client.post("/", content=b"").content == b""
        assert client.delete("/").status_code == 405
    refused = subprocess.run(
        [str(programs / "aes")], env={"AES_KEY": "short"}, capture_output=True, check=False
    )
    assert b"AES_KEY needs 32 hex digits" in refused.stderr


def test_hello_greets_and_keeps_its_connection(tmp_path: Path):
    with served([sys.executable, "index.py"], FUNCTIONS / "hello") as (client, _):
        assert client.post("/", content=b"bob").text == "Hello, bob!\n"
        assert client.post("/", content=iter([b"bo", b"b"])).text == "Hello, bob!\n"
        head = client.head("/any/path?a=1")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "14", b"")
        assert client.get("/").headers["x-replica"] == os.uname().nodename


@pytest.mark.timeout(120)
def test_the_watchdog_forks_for_each_request(programs: Path, tmp_path: Path):
    handler = str(FUNCTIONS / "cgi" / "handler.sh")
    with served([str(programs / "fwatchdog")], tmp_path, mode="streaming", fprocess=handler) as (
        client,
        _,
    ):
        answer = client.post("/p?q=1", content=b"body")
        assert answer.text == "method: POST\npath: /p\nquery: q=1\nbody:\nbody"
        assert client.get("/_/health").text == "OK"
        assert client.get("/_/ready").status_code == 200
    with served([str(programs / "fwatchdog")], tmp_path, mode="serializing", fprocess="false") as (
        client,
        _,
    ):
        answer = client.post("/", content=b"x")
        assert (answer.status_code, answer.text) == (500, "exit status 1")


@pytest.mark.timeout(120)
def test_the_watchdog_fronts_a_server(programs: Path, tmp_path: Path):
    inner = free_port()
    environment = {
        "mode": "http",
        "fprocess": str(tmp_path / "start"),
        "upstream_url": f"http://127.0.0.1:{inner}",
        "write_timeout": "1",
        "healthcheck_interval": "0",
    }

    script = f'#!/bin/sh\nPORT={inner} exec "{sys.executable}" "{FUNCTIONS}/hello/index.py"\n'
    (tmp_path / "start").write_text(script)
    (tmp_path / "start").chmod(0o755)
    with served([str(programs / "fwatchdog")], tmp_path, **environment) as (client, process):
        for _ in range(200):
            answer = client.post("/", content=b"bob")
            if answer.status_code == 200:
                break
            assert answer.headers["x-openfaas-internal"] == "of-watchdog"
            time.sleep(0.02)
        assert answer.text == "Hello, bob!\n"
        assert float(answer.headers["x-duration-seconds"]) > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
