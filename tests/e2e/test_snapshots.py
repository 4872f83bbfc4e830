"""Goal: a replica that is brought back from a snapshot is like one that was started, and nothing else ever depends on one."""

import ast
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.instance import Instance, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PROCESS = "python3 -c exec(__import__('os').environ['CODE'])"
"""The watchdog splits at blanks and knows no quoting, so the program comes by the environment."""

PROGRAM = """
import http.server, os, signal, ssl, sys, time
BORN_NS, FILE = time.time_ns(), open('/etc/passwd')
FIRST = FILE.readline()
FDS, SECRETS = '/proc/self/fd/', '/var/openfaas/secrets'
SECRET = open(SECRETS + '/' + os.listdir(SECRETS)[0]).read() if os.path.isdir(SECRETS) else ''
ssl.RAND_bytes(1)
COUNT = [0]
def end(*_):
    print('good bye', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
{more}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        COUNT[0] += 1
        print('asked', flush=True)
        body = repr({
            'pid': os.getpid(), 'ppid': os.getppid(), 'uid': os.getuid(), 'count': COUNT[0], 'secret': SECRET,
            'colour': os.environ['COLOUR'], 'at': FILE.tell() - len(FIRST), 'cwd': os.getcwd(), 'now_ns': time.time_ns(),
            'born_ns': BORN_NS, 'os': os.urandom(8).hex(), 'tls': ssl.RAND_bytes(8).hex(), 'host': os.uname().nodename,
            'status': [line for line in open('/proc/self/status') if line.startswith(('Cap', 'Seccomp', 'NoNew', 'Sig'))],
            'fds': sorted(os.readlink(FDS + n).split(':')[0] for n in os.listdir(FDS) if os.path.lexists(FDS + n)),
            'argv': open('/proc/self/cmdline').read()[:10], 'limits': open('/proc/self/limits').read(),
        }).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
Server(('127.0.0.1', 5000), Handler).serve_forever()
"""

SAME = (
    "pid",
    "ppid",
    "uid",
    "secret",
    "colour",
    "at",
    "cwd",
    "host",
    "status",
    "fds",
    "argv",
    "limits",
)
"""What an ordinary replica and a restored one must agree on."""

Deploy = Callable[..., str]


class Functions:
    """Deploys Python programs in the image of `hello` and looks at their replicas."""

    def __init__(self, instance: Instance, image: str, api: httpx.Client) -> None:
        self.instance, self.image, self.api = instance, image, api
        self.names: list[str] = []

    def deploy(self, name: str, *, more: str = "", snapshot: str = "true", **changes: Any) -> str:
        """Deploys or updates."""
        document = {
            "service": name,
            "image": self.image,
            "envProcess": PROCESS,
            "envVars": {"CODE": PROGRAM.replace("{more}", more), "COLOUR": "green"},
            "annotations": {"com.junctiond.snapshot": snapshot},
        } | changes
        verb = "PUT" if name in self.names else "POST"
        answer = self.api.request(verb, "/system/functions", json=document)
        assert answer.is_success, answer.text
        self.names.append(name)
        return name

    def delete(self, name: str) -> None:
        self.api.request("DELETE", "/system/functions", json={"functionName": name})

    def scale(self, name: str, replicas: int) -> None:
        document = {"serviceName": name, "replicas": replicas}
        assert self.api.post(f"/system/scale-function/{name}", json=document).is_success

    def ask(self, name: str) -> dict[str, Any]:
        answer = self.instance.invoke(name)
        assert answer.status_code == 200, answer.text
        facts: dict[str, Any] = ast.literal_eval(answer.text)
        return facts

    def states(self, name: str) -> list[dict[str, Any]]:
        """State files of the function's sandboxes."""
        found = []
        for file in self.instance.run_dir.glob(f"sandboxes/{name}.*/state.json"):
            try:
                found.append(json.loads(file.read_bytes()))
            except (OSError, ValueError):
                continue
        return found

    def file(self, name: str) -> Path | None:
        """The function's snapshot."""
        folder = self.instance.state_dir / "snapshots" / "openfaas-fn" / name
        return next(iter(folder.glob("*.snap")), None)

    def await_file(self, name: str) -> Path:
        found: Path = eventually(lambda: self.file(name), 60, f"no snapshot: {self.said(name)}")
        return found

    def said(self, name: str) -> list[str]:
        """Reasons in the daemon's log why the function has no snapshot."""
        lines = self.instance.log_file.read_text().splitlines()
        return [line for line in lines if '"no snapshot"' in line and f'"name":"{name}"' in line]

    def reason(self, name: str) -> str:
        return str(json.loads(eventually(lambda: self.said(name), 60, "no refusal")[-1])["why"])

    def again(self, name: str) -> dict[str, Any]:
        """Scales to zero and back by an invocation."""
        self.scale(name, 0)
        eventually(lambda: not self.states(name))
        return self.ask(name)

    def outcome(self, name: str) -> dict[str, Any]:
        (state,) = self.states(name)
        return dict(state.get("snapshot") or {})


@pytest.fixture
def functions(instance: Instance, image: Callable[[str], str]) -> Iterator[Functions]:
    with instance.api() as api:
        made = Functions(instance, image("hello"), api)
        yield made
        for name in set(made.names):
            made.delete(name)


def test_a_restored_replica_is_like_a_started_one(functions: Functions) -> None:
    name = functions.deploy("back", snapshot="auto")
    first = functions.ask(name)
    file = functions.await_file(name)
    assert file.stat().st_mode & 0o777 == 0o600
    back = functions.again(name)
    assert functions.outcome(name)["restored"] is True
    assert {key: back[key] for key in SAME} == {key: first[key] for key in SAME}
    assert back["count"] == 1, "what was captured had served nothing"
    assert abs(back["now_ns"] - time.time_ns()) < 5e9
    assert back["born_ns"] > first["born_ns"], "it was captured in a sandbox of its own"
    assert functions.ask(name)["count"] == 2


def test_restored_replicas_share_no_randomness_and_no_memory(functions: Functions) -> None:
    name = functions.deploy("apart")
    functions.await_file(name)
    seen = [functions.again(name) for _ in range(3)]
    for key in ("os", "tls"):
        assert len({facts[key] for facts in seen}) == 3, key
    assert {facts["born_ns"] for facts in seen} == {seen[0]["born_ns"]}
    functions.scale(name, 2)
    eventually(lambda: len(functions.states(name)) == 2)
    total = sum(functions.ask(name)["count"] for _ in range(4))
    assert total < 1 + 2 + 3 + 4 + 4, "one replica's counter is not the other's"


def test_a_restored_replica_logs_and_ends_in_order(functions: Functions) -> None:
    name = functions.deploy("polite")
    functions.await_file(name)
    functions.again(name)
    (state,) = functions.states(name)
    functions.scale(name, 0)
    eventually(lambda: not functions.states(name))
    log = functions.instance.state_dir / "logs" / "openfaas-fn" / name / f"{state['id']}.log"
    texts = [json.loads(line)["m"] for line in log.read_text().splitlines()]
    assert texts == ["asked", "good bye"]


def test_a_snapshot_goes_with_its_generation_its_secret_and_its_function(
    functions: Functions,
) -> None:
    secret = {"name": "colour-key", "value": "one"}
    assert functions.api.post("/system/secrets", json=secret).is_success
    name = functions.deploy("changing", secrets=["colour-key"])
    first = functions.await_file(name)
    assert functions.again(name)["secret"] == "one"
    assert functions.api.put("/system/secrets", json=secret | {"value": "two"}).is_success
    assert not first.exists()
    assert functions.again(name)["secret"] == "two"
    second = functions.await_file(name)
    functions.deploy(
        name,
        secrets=["colour-key"],
        envVars={"CODE": PROGRAM.replace("{more}", ""), "COLOUR": "blue"},
    )
    eventually(lambda: functions.file(name) not in (None, second))
    assert not second.exists()
    assert functions.again(name)["colour"] == "blue"
    functions.delete(name)
    assert functions.file(name) is None


@pytest.mark.parametrize("damage", ["magic", "cut", "elsewhere", "crash"])
def test_a_bad_snapshot_means_an_ordinary_start(functions: Functions, damage: str) -> None:
    name = functions.deploy(f"damaged-{damage}")
    file = functions.await_file(name)
    content = file.read_bytes()
    if damage == "magic":
        content = b"NOTASNAP" + content[8:]
    elif damage == "cut":
        content = content[: len(content) // 2]
    else:
        content = rewritten(content, damage)
    file.write_bytes(content)
    functions.scale(name, 0)
    eventually(lambda: not functions.states(name))
    assert functions.instance.invoke(name).status_code in (200, 502)
    eventually(lambda: functions.instance.invoke(name).status_code == 200)
    (state,) = functions.states(name)
    assert not (state.get("snapshot") or {}).get("restored")
    if damage != "crash":
        assert state["snapshot"]["fallback"]


def rewritten(content: bytes, damage: str) -> bytes:
    """A snapshot that is whole but not right: of another machine, or with a program counter that leads nowhere."""
    (length,) = struct.unpack_from("<Q", content, 8)
    document = json.loads(content[16 : 16 + length])
    if damage == "elsewhere":
        document["fingerprint"] = "another machine"
    else:
        document["thread"]["registers"][16] = 16
    text = json.dumps(document, separators=(",", ":")).encode()
    head = content[:8] + struct.pack("<Q", len(text)) + text
    old = -(-(16 + length) // 4096) * 4096
    return head + bytes(-len(head) % 4096) + content[old:]


def test_an_event_loop_comes_back(functions: Functions, image: Callable[[str], str]) -> None:
    name = "loop"
    functions.deploy(name, image=image("asyncio"), envProcess="", envVars={})
    first = functions.instance.invoke(name, b"one")
    assert first.status_code == 200
    functions.await_file(name)
    functions.scale(name, 0)
    eventually(lambda: not functions.states(name))
    back = functions.instance.invoke(name, b"one")
    assert functions.outcome(name)["restored"] is True
    assert back.content == first.content


UNFIT = {
    "thread": (
        "import threading; threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        "threads",
    ),
    "child": ("if os.fork() == 0: time.sleep(99)", "child processes"),
    "file": ("open('/tmp/notes', 'w').write('x')", "/tmp/notes"),
    "timer": (
        "signal.signal(signal.SIGALRM, end); signal.setitimer(signal.ITIMER_REAL, 99)",
        "interval timer",
    ),
    "shared": ("import mmap; M = mmap.mmap(-1, 8192)", "shares"),
    "limits": (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (900, 900))",
        "resource limits",
    ),
    "space": (
        "import mmap; M = mmap.mmap(-1, 40 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)",
        "GiB",
    ),
    "memory": ("M = bytearray(b'x') * (260 << 20)", "MiB of memory"),
    "descriptors": ("P = [open('/etc/passwd') for _ in range(400)]", "descriptors"),
    "mappings": (
        "import mmap; M = [mmap.mmap(-1, 4096, 2 + 32, prot) for _ in range(2600) for prot in (1, 3)]",
        "mappings",
    ),
    "peer": (
        "import socket; P = socket.create_server(('127.0.0.1', 6000)); "
        "Q = socket.create_connection(('127.0.0.1', 6000))",
        "does not listen",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_cannot_be_carried_is_refused_with_its_reason(functions: Functions, kind: str) -> None:
    more, word = UNFIT[kind]
    name = functions.deploy(f"unfit-{kind}", more=more)
    assert word in functions.reason(name)
    assert functions.file(name) is None
    assert functions.again(name)["count"] == 1
    assert functions.outcome(name) == {}


def test_a_start_that_used_the_network_is_not_repeated_unasked(functions: Functions) -> None:
    more = (
        "import socket; P = socket.create_server(('127.0.0.1', 6000)); "
        "[socket.create_connection(('127.0.0.1', 6000)).close() for _ in range(3)]; P.close()"
    )
    name = functions.deploy("talkative", more=more + "; time.sleep(0.3)", snapshot="auto")
    assert "network" in functions.reason(name)
    assert functions.file(name) is None


def test_a_function_may_opt_out(functions: Functions) -> None:
    name = functions.deploy("never", snapshot="false")
    time.sleep(2)
    assert functions.file(name) is None
    assert not functions.said(name)
    answer = functions.api.post(
        "/system/functions",
        json={
            "service": "odd",
            "image": functions.image,
            "annotations": {"com.junctiond.snapshot": "maybe"},
        },
    )
    assert answer.status_code == 400
    assert "com.junctiond.snapshot" in answer.text
