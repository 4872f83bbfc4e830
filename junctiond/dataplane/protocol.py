"""Messages of the control socket (docs/protocols.md, sections 3 and 4), and their framing. No I/O.

Requests are built from typed values; replies and events parse into typed values or raise. Fields that jnetd adds later
are ignored here, so that a newer jnetd serves an older daemon.
"""

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

PROTOCOL = 1
FRAME_BYTES_MAX = 1024 * 1024
_HEADER = struct.Struct("<I")


class ProtocolError(Exception):
    """The peer broke the framing or sent what is no message; the connection cannot be used any further."""


class FunctionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and watchdog semantics of one function; 0 means none where the protocol says so."""

    replica_inflight_max: int = 0
    queue_max: int = 1024
    queue_timeout_ms: int = 60_000
    exec_timeout_ms: int = 0
    body_bytes_max: int = 0
    watchdog: bool = False
    ready_path: str | None = None
    scale_from_zero: bool = True


class Replica(msgspec.Struct, frozen=True):
    """One routable replica."""

    sandbox: str
    port: int
    draining: bool = False


class Function(msgspec.Struct, frozen=True):
    """The whole routing state of one function."""

    name: str
    namespace: str
    settings: FunctionSettings
    replicas: tuple[Replica, ...] = ()


class Egress(msgspec.Struct, frozen=True):
    """What leaves the host."""

    allow: bool
    deny: tuple[str, ...] = ()


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What sandboxes see of the host."""

    gateway: str
    gateway_port: int
    dns_upstreams: tuple[str, ...]
    hosts: dict[str, str]
    egress: Egress


class Hello(msgspec.Struct, frozen=True):
    """Who jnetd is."""

    protocol: int
    version: str
    pid: int
    started_at_ns: int


class AttachedSandbox(msgspec.Struct, frozen=True):
    """One sandbox that jnetd serves; its counters are left to `stats`."""

    sandbox: str
    address: str = ""
    listening: tuple[int, ...] = ()


class Attached(msgspec.Struct, frozen=True, tag_field="event", tag="attached"):
    """A keeper handed over its sandbox."""

    sandbox: str


class Listening(msgspec.Struct, frozen=True, tag_field="event", tag="listening"):
    """A guest listens on a port: the exact moment of readiness."""

    sandbox: str
    port: int


class Detached(msgspec.Struct, frozen=True, tag_field="event", tag="detached"):
    """A sandbox is gone or was cut off."""

    sandbox: str
    reason: str = ""


class Wanted(msgspec.Struct, frozen=True, tag_field="event", tag="wanted"):
    """A request waits and the function has no replica."""

    name: str
    namespace: str


class Violation(msgspec.Struct, frozen=True, tag_field="event", tag="violation"):
    """A guest did what no honest program does."""

    sandbox: str
    kind: str = ""


Event = Attached | Listening | Detached | Wanted | Violation


class Failure(msgspec.Struct, frozen=True):
    """Why jnetd refused."""

    code: str
    message: str = ""


class Reply(msgspec.Struct, frozen=True):
    """The answer to one request; `ok` counts where there is no `error`."""

    id: int
    ok: msgspec.Raw = msgspec.Raw(b"{}")
    error: Failure | None = None


class _Head(msgspec.Struct, frozen=True):
    event: str | None = None


_head = msgspec.json.Decoder(_Head)
_reply = msgspec.json.Decoder(Reply)
_event = msgspec.json.Decoder(Event)


def encode_request(number: int, op: str, **fields: Any) -> bytes:
    """One framed request.

    Raises:
        ProtocolError: it is longer than a frame may be.
    """
    return _frame(msgspec.json.encode({"id": number, "op": op, **fields}))


def encode_put_function(number: int, function: Function) -> bytes:
    """The framed `put_function` request."""
    return encode_request(number, "put_function", **msgspec.structs.asdict(function))


def encode_set_platform(number: int, platform: Platform) -> bytes:
    """The framed `set_platform` request."""
    return encode_request(number, "set_platform", **msgspec.structs.asdict(platform))


def decode_message(body: bytes) -> Reply | Event | None:
    """A reply or an event; None for an event this daemon does not know.

    Raises:
        ProtocolError: it is neither.
    """
    try:
        head = _head.decode(body)
        if head.event is None:
            return _reply.decode(body)
        return _event.decode(body) if head.event in _EVENTS else None
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"jnetd sent what is no message: {error}") from error


_EVENTS = frozenset({"attached", "listening", "detached", "wanted", "violation"})


def _frame(body: bytes) -> bytes:
    if len(body) > FRAME_BYTES_MAX:
        raise ProtocolError(f"a message of {len(body)} bytes; {FRAME_BYTES_MAX} are allowed")
    return _HEADER.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that `data` completes.

        Raises:
            ProtocolError: a frame announces more than it may hold.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if length > FRAME_BYTES_MAX:
                raise ProtocolError(f"a frame of {length} bytes; {FRAME_BYTES_MAX} are allowed")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield body
