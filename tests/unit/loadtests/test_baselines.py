"""The baselines with a small real server in place of a function, and the gateway client against it."""

import os
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from loadtests import baselines, cold
from loadtests.baselines import TargetFailed
from loadtests.gateway import Gateway, GatewayRefused
from loadtests.program import Program

SERVER = """#!{python}
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'{{"name": "aes", "replicas": 2, "availableReplicas": 1, "later": 1}}'
        known = "Basic" in self.headers.get("Authorization", "") or "/system" not in self.path
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_DELETE = answer
    def log_message(self, *arguments):
        pass

HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    path = tmp_path / "server"
    path.write_text(SERVER.format(python=sys.executable))
    path.chmod(0o755)
    return Program.plain(path)


def fetch(url: str) -> int:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return int(answer.status)


def test_bare_serves_and_ends(program: Program) -> None:
    with baselines.bare(program) as target:
        assert fetch(target.url) == 200
        (pid,) = target.processes()["function"]
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes network interfaces")
def test_bridge_serves_from_its_own_namespace_and_leaves_nothing(program: Program) -> None:
    before = {name for _, name in socket.if_nameindex()}
    with baselines.bridge(program) as target:
        assert fetch(target.url) == 200
        (pid,) = target.processes()["function"]
        inside = Path(f"/proc/{pid}/ns/net").readlink()
        assert inside != Path("/proc/self/ns/net").readlink()
        assert len({name for _, name in socket.if_nameindex()} - before) == 2
    assert {name for _, name in socket.if_nameindex()} == before
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes network interfaces")
def test_bridge_leaves_nothing_after_a_failure() -> None:
    before = {name for _, name in socket.if_nameindex()}
    with (
        pytest.raises(TargetFailed, match="ended with status"),
        baselines.bridge(Program.plain(Path("/bin/false"))),
    ):
        pass
    assert {name for _, name in socket.if_nameindex()} == before


def test_program_that_ends_is_told() -> None:
    with (
        pytest.raises(TargetFailed, match="ended with status 1"),
        baselines.bare(Program.plain(Path("/bin/false"))),
    ):
        pass


def test_launch_of_the_bare_program_takes_time(program: Program) -> None:
    assert cold.bare_ms(program) > 1


def test_gateway(program: Program) -> None:
    with baselines.bare(program) as target:
        gateway = Gateway(target.url.split("/")[2], "admin", "secret")
        assert gateway.status("aes").available_replicas == 1
        gateway.wait_for_replicas("aes", 1)
        assert gateway.invoke("aes", b"x")[0] == 200
        assert cold.first_answer_ms(gateway.url("aes")) > 0
        assert "secret" not in repr(gateway)
    with pytest.raises(GatewayRefused, match="POST /system/functions"):
        gateway.deploy("aes", "image")


def test_free_network_has_two_addresses() -> None:
    host, guest = baselines._free_network()
    assert int(guest) == int(host) + 1
