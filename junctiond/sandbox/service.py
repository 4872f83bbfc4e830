"""One `jsandbox serve`: the process that forks keepers, and the connection to it (docs/protocols.md, section 8)."""

import asyncio
import contextlib
import logging
import os
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from junctiond.dataplane.protocol import FrameReader, ProtocolError
from junctiond.sandbox.base import KeeperState

FRAME_BYTES_MAX = 4 * 1024 * 1024
"""Longest request: what `jsandbox` takes as a specification."""
STOP_WAIT_S = 5.0
_HEADER = struct.Struct("<I")

logger = logging.getLogger(__name__)


class Ended(msgspec.Struct, frozen=True, tag_field="event", tag="ended"):
    """A sandbox is gone. `clean`: nothing of it is left, not even its run folder."""

    sandbox: str
    state: KeeperState | None
    clean: bool


class LaunchService(asyncio.Protocol):
    """Asks the launcher process and hears it; `lost` is called once, when it has ended and said all it had to say."""

    def __init__(self, ended: Callable[[Ended], None], lost: Callable[[], None]) -> None:
        self._ended = ended
        self._lost = lost
        self._decoder = msgspec.json.Decoder(Ended)
        self._frames = FrameReader()
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._pidfd = -1
        self._socket: socket.socket | None = None

    async def start(self, binary: Path, run_dir: Path, cgroup_parent: str, log: Path) -> None:
        """Starts the process.

        Raises:
            OSError: it cannot be executed.
        """
        ours, theirs = socket.socketpair()
        places = ["--run-dir", str(run_dir), "--cgroup-parent", cgroup_parent]
        try:
            with theirs, log.open("ab") as sink:
                self._process = process = _spawn([str(binary), "serve", *places], theirs, sink)
        except OSError:
            ours.close()
            raise
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(process.pid)
        loop.add_reader(self._pidfd, self._process_ended)
        self._socket = ours.dup()
        await loop.create_unix_connection(lambda: self, sock=ours)

    @property
    def pid(self) -> int:
        """The process; 0 before it was started."""
        return self._process.pid if self._process else 0

    def ask(self, op: str, **fields: Any) -> None:
        """Sends one request; what is asked of a launcher that is gone is lost.

        Raises:
            ProtocolError: it is too long.
        """
        body = msgspec.json.encode({"op": op, **fields})
        if len(body) > FRAME_BYTES_MAX:
            raise ProtocolError(f"a request of {len(body)} bytes; {FRAME_BYTES_MAX} are allowed")
        if self._transport is not None:
            self._transport.write(_HEADER.pack(len(body)) + body)

    def close(self) -> None:
        """Ends the process; the keepers run on."""
        self._lost = lambda: None
        if self._transport is not None and self._socket is not None:
            # The transport closes in a later turn of the loop; the process is waited for in this one.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._transport.abort()
            self._transport = None
        self._unwatch()
        if self._process is not None:
            try:
                self._process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # uvloop's is one in all but name.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            for body in self._frames.feed(data):
                self._ended(self._decoder.decode(body))
        except (ProtocolError, msgspec.MsgspecError) as error:
            logger.error("launcher spoke nonsense", extra={"fields": {"error": str(error)}})
            if self._process is not None:
                self._process.kill()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._if_lost()

    def _process_ended(self) -> None:
        self._unwatch()
        if self._process is not None:
            self._process.poll()
        self._if_lost()

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _if_lost(self) -> None:
        # Both: the connection for its last words, the process because a keeper that nobody can
        # find yet dies with it.
        if self._transport is None and self._pidfd < 0:
            lost, self._lost = self._lost, lambda: None
            lost()


def _spawn(command: list[str], theirs: socket.socket, sink: IO[bytes]) -> subprocess.Popen[bytes]:
    # Not asyncio's subprocess: its transports end the child together with the loop.
    return subprocess.Popen(
        command,
        stdin=theirs.fileno(),
        stdout=sink,
        stderr=sink,
        start_new_session=True,
        cwd="/",
        env={"PATH": os.defpath},
    )
