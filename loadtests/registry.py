"""A real OCI registry on loopback for the length of a measurement."""

import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.baselines import STOP_WAIT_S, TargetFailed, free_port
from loadtests.ending import end
from loadtests.machine import REPOSITORY

CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "{address}"}}
"""
READY_WAIT_S = 10.0
PUSH_TIMEOUT_S = 300.0


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Runs docker-registry with its data in a folder; yields HOST:PORT.

    Raises:
        TargetFailed: it is not installed or does not come up.
    """
    program = shutil.which("docker-registry")
    if program is None:
        raise TargetFailed("docker-registry is not installed: apt-get install docker-registry")
    address = f"127.0.0.1:{free_port()}"
    config = folder / "registry.yml"
    config.write_text(CONFIG.format(root=folder / "registry", address=address))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Outside the terminal's group: Ctrl-C must reach us first, who still need it for the clean-up.
            start_new_session=True,
        )
        try:
            _wait(address, process, folder / "registry.log")
            yield address
        finally:
            end(process, STOP_WAIT_S)


def push(address: str) -> None:
    """Copies the images of functions/ there.

    Raises:
        TargetFailed: the images are missing or the registry refuses them.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tools.imagebuild.push", address],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PUSH_TIMEOUT_S,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    if done.returncode != 0:
        raise TargetFailed(f"pushing the images failed; make images?\n{done.stderr.strip()}")


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_ns = time.monotonic_ns() + int(READY_WAIT_S * 1e9)
    while process.poll() is None and time.monotonic_ns() < deadline_ns:
        connection = http.client.HTTPConnection(address, timeout=1)
        try:
            connection.request("GET", "/v2/")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()
    raise TargetFailed(f"docker-registry did not come up: {log.read_text(errors='replace')[-500:]}")
