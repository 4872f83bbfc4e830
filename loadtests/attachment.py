"""Which attachment really carried a load, by the front door's own counters, so that no figure claims rings it did not use."""

import json
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 10.0
FRAME_BYTES_MAX = 64 << 20
REQUEST_BYTES_MIN = 600
ANSWER_BYTES_MIN = 100
"""Of one invocation through rings at the least: the body, and an answer's head."""
WHOLE = 0.99
"""Share of the invocations that must have left so many bytes; some are under way at a reading."""


class ControlRefused(Exception):
    """The front door's control socket did not answer as agreed; the message says how."""


@dataclass(frozen=True, slots=True)
class Rings:
    """Counters of the rings of a function's sandboxes (docs/protocols.md, section 4); zeros where there are none."""

    leaves: int = 0
    bytes_to_guest: int = 0
    bytes_to_host: int = 0

    @classmethod
    def of(cls, sandboxes: list[dict[str, Any]], function: str) -> "Rings":
        """Sums over the sandboxes of a function, whose ids begin with its name."""
        mine = [one for one in sandboxes if one["sandbox"].startswith(f"{function}.")]
        return cls(
            leaves=sum(one.get("ring_leaves", 0) for one in mine),
            bytes_to_guest=sum(one.get("ring_bytes_to_guest", 0) for one in mine),
            bytes_to_host=sum(one.get("ring_bytes_to_host", 0) for one in mine),
        )


def carried(before: Rings, after: Rings, invocations: int) -> str:
    """The attachment under a load: "ring", "fd", or "mixed" where only a part of it went by rings."""
    to_guest = after.bytes_to_guest - before.bytes_to_guest
    to_host = after.bytes_to_host - before.bytes_to_host
    if to_guest == 0 and to_host == 0:
        return "fd"
    whole = (
        to_guest >= WHOLE * invocations * REQUEST_BYTES_MIN
        and to_host >= WHOLE * invocations * ANSWER_BYTES_MIN
        and after.leaves == before.leaves
    )
    return "ring" if whole else "mixed"


def read(control_socket: Path, function: str) -> Rings:
    """The counters of a function now.

    Raises:
        ControlRefused: the front door did not answer.
    """
    return Rings.of(statistics(control_socket)["sandboxes"], function)


def statistics(control_socket: Path) -> dict[str, Any]:
    """The front door's statistics.

    Raises:
        ControlRefused: it did not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(TIMEOUT_S)
            control.connect(str(control_socket))
            _ask(control, {"id": 1, "op": "hello", "protocol": 1, "client": "loadtests"})
            return _ask(control, {"id": 2, "op": "stats"})
    except OSError as error:
        raise ControlRefused(f"{control_socket}: {error}") from error


def _ask(control: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(request).encode()
    control.sendall(struct.pack("<I", len(body)) + body)
    while True:
        (length,) = struct.unpack("<I", _exactly(control, 4))
        if length > FRAME_BYTES_MAX:
            raise ControlRefused(f"a frame of {length} bytes")
        reply = json.loads(_exactly(control, length))
        if "error" in reply:
            raise ControlRefused(f"{request['op']}: {reply['error']}")
        if reply.get("id") == request["id"]:  # events of the host may come between
            answer: dict[str, Any] = reply["ok"]
            return answer


def _exactly(control: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        chunk = control.recv(length - len(data))
        if not chunk:
            raise ControlRefused("the front door hung up")
        data += chunk
    return data
