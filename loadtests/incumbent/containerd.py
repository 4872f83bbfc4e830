"""A containerd of our own for a measurement: own folder, socket and namespace, nothing of the host's touched."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadtests.baselines import STOP_WAIT_S, TargetFailed, free_port
from loadtests.ending import end
from loadtests.instance import remove_cgroups

READY_WAIT_S = 20.0
NEEDED = ("containerd", "containerd-shim-runc-v2", "runc")
CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
# No Kubernetes interface: nobody here speaks it, and without it containerd is smaller than in faasd's favour.
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{folder}/containerd.sock"
[metrics]
  address = "{metrics}"
"""


@dataclass(frozen=True, slots=True)
class Containerd:
    """A running containerd.

    Attributes:
        folder: its data, state and socket.
        namespace: where the functions live; also their cgroup below each hierarchy's root.
        metrics: HOST:PORT of its counters.
    """

    folder: Path
    namespace: str
    metrics: str
    pid: int

    @property
    def socket(self) -> Path:
        """Its gRPC socket."""
        return self.folder / "containerd.sock"

    def shims(self) -> list[int]:
        """The shims of its containers, which are no children of it."""
        return [pid for pid, command in _commands() if _is_shim(command, self.socket)]

    def inside(self) -> list[tuple[int, str]]:
        """The processes inside its containers, each with its program's name."""
        found = []
        for shim in self.shims():
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(shim).children(recursive=True)
                found += [(child.pid, child.name()) for child in children]
        return found


@contextmanager
def containerd(folder: Path, name: str) -> Iterator[Containerd]:
    """Runs containerd, with functions in the namespace `name`, until the block ends; then no shim, mount, cgroup or file of it is left.

    Raises:
        TargetFailed: a program is missing, or it does not come up.
    """
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise TargetFailed(f"{', '.join(missing)} not installed: make bench-faasd installs them")
    folder.mkdir(parents=True)
    metrics = f"127.0.0.1:{free_port()}"
    config = folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder, metrics=metrics))
    with (folder / "containerd.log").open("wb") as log:
        process = subprocess.Popen(
            ["containerd", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Outside the terminal's group: on Ctrl-C its containers are stopped first, by us.
            start_new_session=True,
        )
        found = Containerd(folder, name, metrics, process.pid)
        try:
            _wait(found, process)
            yield found
        finally:
            _stop(found, process)


def _wait(found: Containerd, process: subprocess.Popen[bytes]) -> None:
    deadline_ns = time.monotonic_ns() + int(READY_WAIT_S * 1e9)
    while process.poll() is None and time.monotonic_ns() < deadline_ns:
        if found.socket.exists():
            return
        time.sleep(0.02)
    log = (found.folder / "containerd.log").read_text(errors="replace")
    raise TargetFailed(f"containerd did not come up: {log[-500:]}")


def _stop(found: Containerd, process: subprocess.Popen[bytes]) -> None:
    """Ends shims that a failed measurement left behind, then containerd, then what they mounted and made."""
    for shim in found.shims():
        family = [shim, *_children(shim)]
        for pid in reversed(family):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    end(process, STOP_WAIT_S)
    for mount in reversed(mounts_below(found.folder, Path("/proc/self/mounts").read_text())):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    remove_cgroups(found.namespace)


def mounts_below(folder: Path, mounts: str) -> list[str]:
    """The mount points below a folder, in the order of the table (proc(5), mounts)."""
    points = [line.split()[1] for line in mounts.splitlines() if len(line.split()) > 1]
    return [point for point in points if Path(point).is_relative_to(folder)]


def _is_shim(command: list[str], socket: Path) -> bool:
    return bool(command) and "containerd-shim" in command[0] and str(socket) in command


def _commands() -> list[tuple[int, list[str]]]:
    return [(one.pid, one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]


def _children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
