"""A junctiond of its own for a measurement: own state, run directory, port and cgroup, removed afterwards."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from junctiond.cli.machine import PARTS
from junctiond.cli.start import healthy
from junctiond.cli.stop import down, keeper_pids, listener_pid
from junctiond.settings import BIN_DIR_VARIABLE, Settings, SettingsError, load
from loadtests.baselines import Target, TargetFailed, free_port
from loadtests.ending import end
from loadtests.gateway import Gateway
from loadtests.machine import REPOSITORY
from loadtests.placement import Placement, servers
from loadtests.process_cost import descendants
from loadtests.series import OURS

READY_WAIT_S = 60.0
STOP_WAIT_S = 120.0
KEEPERS_WAIT_S = 60.0
LOG_TAIL_LINES = 30
MEMORY_PLACES = (Path("/run"), Path("/dev/shm"))
"""Where a run folder lies in memory, if it is a mount of its own."""
OWN = (
    *("state_dir", "run_dir", "secrets_dir", "docker_config", "listen"),
    *("cgroup_parent", "grace_ms", "drain_timeout_ms", "placement"),
)
"""Settings in which a measured host differs from the default one."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A running host."""

    settings: Settings
    gateway: Gateway
    daemon_pid: int

    def keepers(self, function: str = "") -> list[int]:
        """Keepers of the live sandboxes of one function, or of all.

        From the state files and not by the host API: asking must not make the daemon work while it is measured.
        """
        return keeper_pids(self.settings.sandboxes_dir, f"{function}.*" if function else "*")

    def wait_for_keepers(self, count: int, function: str = "") -> None:
        """Waits until the live sandboxes of one function, or all, are that many.

        Raises:
            TargetFailed: they are not after a minute.
        """
        deadline_ns = time.monotonic_ns() + int(KEEPERS_WAIT_S * 1e9)
        while (found := len(self.keepers(function))) != count:
            if time.monotonic_ns() > deadline_ns:
                what = function or "the host"
                raise TargetFailed(f"{what} has {found} sandboxes, not {count}")
            time.sleep(0.02)

    def platform(self, function: str = "") -> dict[str, list[int]]:
        """Process ids by role: control (daemon and provider), front door, keepers, function (one, or all)."""
        plane = listener_pid(self.settings.control_socket)
        every, keepers = self.keepers(), self.keepers(function)
        doors = [plane] if plane else []
        inside = set(descendants(every)) - set(every)
        control = set(descendants([self.daemon_pid])) - inside - set(doors) - set(every)
        return {
            "control": sorted(control),
            "front door": doors,
            "keepers": keepers,
            "function": sorted(set(descendants(keepers)) - set(keepers)),
        }

    def target(self, function: str) -> Target:
        """A function of this host as something to measure."""
        return Target(OURS, self.gateway.url(function), lambda: self.platform(function))


@contextmanager
def instance(placement: Placement = Placement.OWN) -> Iterator[Instance]:
    """Runs a host until the block ends, then stops every process of it and removes its folders.

    All of it may use the servers' cores of the placement only; on these it places itself as it does for everybody, but
    for `Placement.FREE`, where its placing is off.

    Raises:
        TargetFailed: it does not come up; its last log lines are in the message.
    """
    folder = Path(tempfile.mkdtemp(prefix="junctiond-bench-"))
    settings = settings_for(folder, placement, run_folder())
    log = folder / "daemon.log"
    with log.open("wb") as sink, servers(placement):
        process = subprocess.Popen(
            [sys.executable, "-m", "junctiond.cli.app", "up", "--foreground"],
            env={**os.environ, **environment_for(settings)},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            # Outside the terminal's group: on Ctrl-C we stop it, in our order.
            start_new_session=True,
        )
    try:
        _wait(settings, process, log)
        user = (settings.secrets_dir / "basic-auth-user").read_text().strip()
        password = (settings.secrets_dir / "basic-auth-password").read_text().strip()
        yield Instance(settings, Gateway(settings.listen, user, password), process.pid)
    finally:
        end(process, STOP_WAIT_S)
        down(settings, lambda _: None)
        remove_cgroups(settings.cgroup_parent)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(settings.run_dir, ignore_errors=True)


def run_folder() -> Path:
    """A fresh run folder in memory, as `/run` is on every host with systemd; where there is none, on the disk."""
    places = [place for place in MEMORY_PLACES if place.is_mount() and os.access(place, os.W_OK)]
    return Path(tempfile.mkdtemp(prefix="junctiond-bench-", dir=places[0] if places else None))


def settings_for(
    folder: Path, placement: Placement = Placement.OWN, run_dir: Path | None = None
) -> Settings:
    """Settings of a host that shares nothing with another one on this machine."""
    return load(
        environment={name: os.environ[name] for name in (BIN_DIR_VARIABLE,) if name in os.environ},
        state_dir=folder / "state",
        run_dir=run_dir or folder / "run",
        secrets_dir=folder / "secrets",
        docker_config=folder / "docker.json",
        listen=f"127.0.0.1:{free_port()}",
        cgroup_parent=f"junctiond-bench-{os.getpid()}",
        # Enough for functions that end at once; a measurement should not wait half a minute for one that hangs.
        grace_ms=2000,
        drain_timeout_ms=2000,
        placement="off" if placement is Placement.FREE else "balanced",
    )


def stale(settings: Settings) -> list[str]:
    """Parts of the data plane that are older than a source of theirs in this checkout."""
    sources = [path.stat().st_mtime_ns for path in (REPOSITORY / "dataplane").glob("*/src/**/*.rs")]
    newest = max(sources, default=0)
    return [name for name in PARTS if _built_ns(settings, name) < newest]


def _built_ns(settings: Settings, name: str) -> int:
    try:
        return settings.binary(name).stat().st_mtime_ns
    except SettingsError:
        return 0


def environment_for(settings: Settings) -> dict[str, str]:
    """The same settings as environment variables."""
    return {f"JUNCTIOND_{name.upper()}": str(getattr(settings, name)) for name in OWN}


def remove_cgroups(parent: str, root: Path = Path("/sys/fs/cgroup")) -> None:
    """Removes a parent's empty cgroups, of version 2 and of every hierarchy of version 1."""
    for top in [root / parent, *root.glob(f"*/{parent}")]:
        for folder in [*sorted(top.glob("**/"), reverse=True)]:
            with suppress(OSError):  # not empty, or gone: nothing of ours is left in it
                folder.rmdir()


def _wait(settings: Settings, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_ns = time.monotonic_ns() + int(READY_WAIT_S * 1e9)
    while not healthy(settings):
        if process.poll() is not None or time.monotonic_ns() > deadline_ns:
            lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            raise TargetFailed("junctiond did not come up:\n" + "\n".join(lines))
        time.sleep(0.02)
