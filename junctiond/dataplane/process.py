"""The jnetd process: started detached, adopted where it runs already, started again when it dies.

jnetd must outlive this daemon, so it is no ordinary child: own session, its messages into a file. A daemon that finds a
jnetd of the same build with the same command line takes it over; any other one is replaced.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import subprocess
from pathlib import Path

import psutil

from junctiond.cores import host as cores
from junctiond.cores.layout import show_cores
from junctiond.settings import Settings, SettingsError, split_address

logger = logging.getLogger(__name__)

LOG_BYTES_MAX = 16 * 1024 * 1024
PID_FILE = "jnetd.pid"
STOP_TIMEOUT_S = 5.0


class Backoff:
    """Bounded exponential pauses with jitter, so that what died together does not come back together.

    `pause_s` grows with each call; a run of at least `healthy_s` begins anew.
    """

    def __init__(
        self,
        source: random.Random,
        *,
        first_s: float = 0.05,
        max_s: float = 10.0,
        healthy_s: float = 10.0,
    ) -> None:
        self._random = source
        self._first_s = first_s
        self._max_s = max_s
        self._healthy_s = healthy_s
        self._failures = 0

    def pause_s(self, ran_s: float) -> float:
        """The pause after a run of `ran_s` seconds; none after a healthy one."""
        if ran_s >= self._healthy_s:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        bound_s = min(self._first_s * 2.0 ** min(self._failures - 2, 30), self._max_s)
        return bound_s * (0.5 + 0.5 * self._random.random())


def command_line(settings: Settings) -> list[str]:
    """How jnetd is called."""
    command = [
        str(settings.binary("jnetd")),
        "--listen",
        settings.listen,
        "--control",
        str(settings.control_socket),
        "--attach",
        str(settings.attach_socket),
        "--provider",
        str(settings.provider_socket),
    ]
    layout = cores.layout_of(settings)
    workers = len(layout.doors) or settings.workers
    if workers:
        command += ["--workers", str(workers)]
    if layout.doors:
        command += ["--cores", show_cores(layout.doors)]
    return command


class DataplaneProcess:
    """Keeps one jnetd running. `run` ends only by cancellation, and leaves jnetd as it is."""

    def __init__(self, settings: Settings, source: random.Random) -> None:
        self._command = command_line(settings)
        self._listen = settings.listen
        self._pid_file = settings.run_dir / PID_FILE
        self._log = settings.logs_dir / "platform" / "jnetd.log"
        self._backoff = Backoff(source)
        self._pid: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        """None while jnetd is adopted: another process reaps it."""

    @property
    def pid(self) -> int | None:
        """The running jnetd's pid."""
        return self._pid

    def check(self) -> None:
        """Looks before the start whether jnetd can have its door.

        Raises:
            SettingsError: another program listens there, or the address is not this host's.
        """
        if self._find() is not None:
            return
        host, port = split_address(self._listen, "listen")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                door.bind((host, port))
            except OSError as error:
                raise SettingsError(
                    f"cannot listen on {self._listen}: {error.strerror}; stop what uses it "
                    "or choose another address (listen)"
                ) from error

    async def run(self) -> None:
        """Supervises until cancelled."""
        loop = asyncio.get_running_loop()
        self._pid = self._find()
        while True:
            started_s = loop.time()
            if self._pid is None:
                try:
                    self._child = self._start()
                except OSError as error:  # an upgrade may be replacing the file right now
                    logger.error("jnetd not started", extra={"fields": {"error": str(error)}})
                    await asyncio.sleep(self._backoff.pause_s(0.0))
                    continue
                self._pid = self._child.pid
            await _gone(self._pid)
            code = self._reap()
            pause_s = self._backoff.pause_s(loop.time() - started_s)
            fields = {"code": code, "pause_s": round(pause_s, 3), "last": self._last_words()}
            logger.error("jnetd ended", extra={"fields": fields})
            await asyncio.sleep(pause_s)

    async def stop(self) -> None:
        """Ends jnetd: SIGTERM, then SIGKILL."""
        pid = self._pid or self._find()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await _gone(pid)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                await _gone(pid)
        self._reap()
        self._pid_file.unlink(missing_ok=True)

    def _reap(self) -> int | None:
        """Forgets a jnetd that has ended; its exit status where it was our child."""
        child, self._child = self._child, None
        self._pid = None
        return child.wait() if child is not None else None

    def _start(self) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > LOG_BYTES_MAX:
                self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as log:
            child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={"PATH": os.defpath},
            )
        self._pid_file.write_text(f"{child.pid}\n")
        logger.info("jnetd started", extra={"fields": {"pid": child.pid}})
        return child

    def _find(self) -> int | None:
        """A jnetd that an earlier daemon left; one that differs from ours is ended first."""
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            command = process.cmdline()
            same_build = process.exe() == str(Path(self._command[0]).resolve())
        except (OSError, ValueError, psutil.Error):
            return None
        if command[1:] == self._command[1:] and same_build:
            logger.info("jnetd adopted", extra={"fields": {"pid": process.pid}})
            return process.pid
        if command and Path(command[0]).name == "jnetd" and self._command[4] in command:
            logger.info("jnetd differs and is replaced", extra={"fields": {"pid": process.pid}})
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(STOP_TIMEOUT_S)
        return None

    def _last_words(self) -> str:
        try:
            lines = self._log.read_bytes()[-4096:].decode(errors="replace").splitlines()
        except OSError:
            return ""
        return lines[-1][:500] if lines else ""


async def _gone(pid: int) -> None:
    """Waits for the end of any process, a child or not."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
