"""Where the provider listens: `unix:PATH` (mode 0600, root and its own user only) or `tcp:HOST:PORT`."""

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

_PEER_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid
_BACKLOG: Final = 1024


class ListenError(Exception):
    """The address is malformed or taken; the message says which and what to do."""


def bind(address: str) -> socket.socket:
    """Make a bound stream socket for `address`, replacing a socket file that nobody serves.

    Raises:
        ListenError: see there.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "unix" and rest:
        return _bind_unix(Path(rest))
    host, _, port = rest.rpartition(":")
    if scheme == "tcp" and host and port.isascii() and port.isdigit() and int(port) < 65536:
        return _bind_tcp(host.strip("[]"), int(port))
    raise ListenError(f"cannot listen on {address!r}: give unix:PATH or tcp:HOST:PORT")


def peer_allowed(connection: socket.socket) -> bool:
    """Whether the peer of a Unix connection is root or this user (`SO_PEERCRED`, unix(7))."""
    if connection.family != socket.AF_UNIX:
        return True
    size = _PEER_CREDENTIALS.size
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = _PEER_CREDENTIALS.unpack(packed)
    return uid in (0, os.geteuid())


def shown(bound: socket.socket) -> str:
    """The address of a bound socket in the form that `bind` takes."""
    name = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if bound.family == socket.AF_INET6 else name[0]
    return f"tcp:{host}:{name[1]}"


def forget(bound: socket.socket) -> None:
    """Remove the socket file of `bound` while it still listens, so that it never removes a successor's."""
    if bound.family == socket.AF_UNIX:
        Path(bound.getsockname()).unlink(missing_ok=True)


def _bind_unix(path: Path) -> socket.socket:
    _remove_stale(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mask closes the moment between bind and chmod in which others could connect.
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen on {path}: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on {path}: a file that is no socket is in the way")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ListenError(f"cannot listen on {path}: another process serves it; stop that one first")


def _bind_tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        text = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise ListenError(text) from error
    return listener
