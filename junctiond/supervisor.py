"""Keeps a child process of the daemon running: the provider."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
from collections.abc import Mapping

from junctiond.dataplane.process import Backoff
from junctiond.settings import ENVIRONMENT_PREFIX, Settings
from junctiond.tether import PARENT_VARIABLE

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 10.0


def provider_command(settings: Settings) -> list[str]:
    """How the provider is called, tethered to this daemon."""
    command = [
        sys.executable,
        "-m",
        "junctiond.tether",
        "provider",
        "--host-socket",
        str(settings.host_socket),
        "--listen",
        f"unix:{settings.provider_socket}",
        "--secrets-dir",
        str(settings.secrets_dir),
    ]
    if settings.metrics_listen:
        command += ["--metrics", settings.metrics_listen]
    return command


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment without its own settings, which the child gets as arguments."""
    kept = {k: v for k, v in environment.items() if not k.startswith(ENVIRONMENT_PREFIX)}
    kept.setdefault("PATH", os.defpath)
    return kept | {PARENT_VARIABLE: str(os.getpid())}


class Supervisor:
    """Runs one command again whenever it ends, with bounded pauses; ends it when cancelled."""

    def __init__(
        self, name: str, command: list[str], environment: Mapping[str, str], source: random.Random
    ) -> None:
        self._name = name
        self._command = command
        self._environment = dict(environment)
        self._backoff = Backoff(source)

    async def run(self) -> None:
        """Supervises until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            started_s = loop.time()
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:  # an upgrade may be replacing the program right now
                told = {"child": self._name, "error": str(error)}
                logger.error("child not started", extra={"fields": told})
                await asyncio.sleep(self._backoff.pause_s(0.0))
                continue
            logger.info(
                "child started", extra={"fields": {"child": self._name, "pid": process.pid}}
            )
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                await self._end(process)
                raise
            pause_s = self._backoff.pause_s(loop.time() - started_s)
            fields = {"child": self._name, "code": code, "pause_s": round(pause_s, 3)}
            logger.error("child ended", extra={"fields": fields})
            await asyncio.sleep(pause_s)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
