"""What an archive entry's name asks for: a file, or the removal of one of a lower layer.

Layers use the names of AUFS (OCI image-spec, layer.md, "Whiteouts"); the kernel's overlay uses a character device 0:0
and an extended attribute (Documentation/filesystems/overlayfs.rst). This module only translates names.
"""

from dataclasses import dataclass
from enum import Enum

PREFIX = b".wh."
META_PREFIX = b".wh..wh."
OPAQUE = b".wh..wh..opq"


class Action(Enum):
    """What to do with the entry."""

    KEEP = "keep"
    REMOVE = "remove"
    """Hide the entry of this name in the layers below."""

    OPAQUE = "opaque"
    """Hide everything that the layers below have in this folder."""

    SKIP = "skip"
    """AUFS's own bookkeeping, and the root folder's name."""


@dataclass(frozen=True, slots=True)
class Target:
    """The action and the path it is for: components from the layer's root, never empty ones, `.` or `..`."""

    action: Action
    parts: tuple[bytes, ...]


class InvalidName(ValueError):
    """A name that would leave the layer's folder, or that no file can have."""


def translate(name: bytes, depth_max: int) -> Target:
    """Reads the name of an archive entry.

    A leading `./` is dropped; `..` and absolute names are refused, as no image tool writes them.

    Raises:
        InvalidName: hostile or impossible.
    """
    parts = _split(name, depth_max)
    if not parts:
        return Target(Action.SKIP, ())
    if any(part.startswith(PREFIX) for part in parts[:-1]):
        return Target(Action.SKIP, ())
    last = parts[-1]
    if last == OPAQUE:
        return Target(Action.OPAQUE, parts[:-1])
    if last.startswith(META_PREFIX):
        return Target(Action.SKIP, ())
    if last.startswith(PREFIX):
        hidden = last[len(PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise InvalidName("a whiteout of nothing")
        return Target(Action.REMOVE, (*parts[:-1], hidden))
    return Target(Action.KEEP, parts)


def _split(name: bytes, depth_max: int) -> tuple[bytes, ...]:
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if parts and name.startswith(b"/"):
        raise InvalidName("an absolute path")
    if b".." in parts:
        raise InvalidName("a path with ..")
    if b"\0" in name:
        raise InvalidName("a path with a NUL character")
    if len(parts) > depth_max:
        raise InvalidName(f"a path of more than {depth_max} folders")
    if any(len(part) > 255 for part in parts):
        raise InvalidName("a name of more than 255 bytes")
    return parts
