"""A real image registry (Debian's docker-registry) on a free port of the loopback address."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 15

_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
  headers: {{X-Content-Type-Options: [nosniff]}}
{auth}"""

_AUTH = """\
auth:
  htpasswd: {{realm: registry, path: {file}}}
"""

# user "reader", password "correct horse"
HTPASSWD = "reader:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"


@dataclass(frozen=True, slots=True)
class LocalRegistry:
    """A running registry. `address` is `127.0.0.1:PORT`."""

    address: str
    root: Path

    def push(self, layout: Path, name: str, *, tag: str = "latest", credentials: str = "") -> str:
        """Copies the image `latest` of an OCI layout under `name` and returns its reference."""
        reference = f"{self.address}/{name}:{tag}"
        command = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false"]
        if credentials:
            command += ["--dest-creds", credentials]
        subprocess.run([*command, f"oci:{layout}:latest", f"docker://{reference}"], check=True)
        return reference


@contextmanager
def running_registry(folder: Path, *, htpasswd: str = "") -> Iterator[LocalRegistry]:
    """Runs a registry with its data under `folder`; with `htpasswd` it asks for credentials."""
    port = _free_port()
    root = folder / "registry"
    root.mkdir(parents=True)
    auth = ""
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        auth = _AUTH.format(file=folder / "htpasswd")
    config = folder / "registry.yml"
    config.write_text(_CONFIG.format(root=root, port=port, auth=auth))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait(process, port, folder / "registry.log")
            yield LocalRegistry(f"127.0.0.1:{port}", root)
        finally:
            process.terminate()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_ns = time.monotonic_ns() + START_TIMEOUT_S * 1_000_000_000
    while process.poll() is None and time.monotonic_ns() < deadline_ns:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=1).close()
        except urllib.error.HTTPError as error:
            error.close()
            return  # it answers: 401
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"the registry does not answer: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
