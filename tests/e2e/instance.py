"""One junctiond of a test's own: private directories, a free port, the real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 40


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _parent(process: psutil.Process) -> int:
    """Its parent's pid; its own where it ended meanwhile, which no keeper's child has."""
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return int(process.pid)


@dataclass
class Instance:
    """A running `junctiond up` with everything that belongs to it."""

    root: Path
    port: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    @property
    def run_dir(self) -> Path:
        return self.root / "run"

    @property
    def log_file(self) -> Path:
        return self.root / "junctiond.log"

    @property
    def password(self) -> str:
        return (self.root / "secrets" / "basic-auth-password").read_text().strip()

    @property
    def environment(self) -> dict[str, str]:
        """Environment of every command of this instance."""
        return os.environ | {
            "JUNCTIOND_STATE_DIR": str(self.state_dir),
            "JUNCTIOND_RUN_DIR": str(self.run_dir),
            "JUNCTIOND_SECRETS_DIR": str(self.root / "secrets"),
            "JUNCTIOND_LISTEN": f"127.0.0.1:{self.port}",
            "JUNCTIOND_CGROUP_PARENT": f"junctiond-{self.root.name}",
            "JUNCTIOND_DOCKER_CONFIG": str(self.root / "docker.json"),
            "JUNCTIOND_READY_TIMEOUT_MS": "15000",
            "JUNCTIOND_GRACE_MS": "3000",
        }

    def start(self) -> None:
        """Starts the daemon and waits until it is healthy."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "junctiond.cli.app", "up", *self.options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_healthy()

    def wait_healthy(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Waits until the front door and the provider behind it answer."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"junctiond ended: {self.log_file.read_text()[-4000:]}")
            try:
                if httpx.get(f"{self.url}/healthz", timeout=1).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not healthy: {self.log_file.read_text()[-4000:]}")

    def stop(self) -> None:
        """Stops the daemon with everything it runs; nothing may be left."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for process in self.processes():
            process.kill()

    def kill_daemon(self) -> None:
        """`kill -9` of the daemon alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Live processes of this instance (their command line or environment names its directories)."""
        found = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                if str(self.root) in line and name in line and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def keepers(self) -> list[psutil.Process]:
        """The keepers of all sandboxes; process 1 of a sandbox has its keeper's command line, and a keeper above it."""
        every = self.processes("jsandbox keep")
        pids = {process.pid for process in every}
        return [process for process in every if _parent(process) not in pids]

    def api(self) -> httpx.Client:
        """A client of the REST API with the right credentials."""
        return httpx.Client(base_url=self.url, auth=("admin", self.password), timeout=60)

    def dataplane_statistics(self) -> Any:
        """All counters of jnetd (docs/protocols.md, section 4), by its control socket."""
        request = json.dumps({"id": 1, "op": "stats"}).encode()
        with socket.socket(socket.AF_UNIX) as control, control.makefile("rb") as answers:
            control.connect(str(self.run_dir / "control.sock"))
            control.sendall(len(request).to_bytes(4, "little") + request)
            length = int.from_bytes(answers.read(4), "little")
            return json.loads(answers.read(length))["ok"]

    def invoke(self, name: str, content: bytes = b"", **options: object) -> httpx.Response:
        """One invocation on a new connection."""
        return httpx.post(f"{self.url}/function/{name}", content=content, timeout=60, **options)  # type: ignore[arg-type]


@contextmanager
def running(root: Path, *options: str) -> Iterator[Instance]:
    """A healthy instance below `root`, stopped at the end."""
    instance = Instance(root, options=options)
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()


def eventually(condition, timeout_s: float = 20, message: str = "never happened"):
    """The first true value of `condition()`; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(message)
        time.sleep(0.05)
