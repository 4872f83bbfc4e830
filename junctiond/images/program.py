"""The file behind a command of an image, found in its layers as the image's overlay would show it.

The image is hostile: links are followed inside the layers only, one component at a time.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LINKS_MAX = 8


@dataclass(frozen=True, slots=True)
class Program:
    """A regular file of a layer, and the path at which a guest finds it (links resolved)."""

    file: Path
    guest_path: str


def locate(
    layers: tuple[Path, ...], command: str, *, env: Iterable[str], cwd: str
) -> Program | None:
    """The file that execvp(3) would run; None where there is none.

    Args:
        layers: topmost first.
        command: the first word of the command line.
        env: `KEY=value`; PATH is of interest.
        cwd: the guest's folder, for a command with a slash in it.
    """
    search = PATH_DEFAULT
    for entry in env:
        if entry.startswith("PATH="):
            search = entry.removeprefix("PATH=")
    if "/" in command:
        candidates = [os.path.join("/", cwd, command)]  # noqa: PTH118 - guest path
    else:
        candidates = [f"{folder}/{command}" for folder in search.split(":") if folder[:1] == "/"]
    for candidate in candidates:
        found = _resolve(layers, os.path.normpath(candidate))
        if found is not None:
            return found
    return None


def _resolve(layers: tuple[Path, ...], guest_path: str) -> Program | None:
    for _ in range(_LINKS_MAX):
        found = _find(layers, guest_path)
        if found is None:
            return None
        path, link = found
        if link is None:
            return Program(path, guest_path)
        guest_path = os.path.normpath(link)
    return None


def _find(layers: tuple[Path, ...], guest_path: str) -> tuple[Path, str | None] | None:
    """The regular file at `guest_path`, or the guest path that a link on the way leads to."""
    parts = [part for part in guest_path.split("/") if part]
    for depth in range(1, len(parts) + 1):
        relative = "/".join(parts[:depth])
        for layer in layers:
            path = layer / relative
            try:
                mode = path.lstat().st_mode
            except OSError:
                continue
            if stat.S_ISLNK(mode):
                rest = "/".join(parts[depth:])
                target = os.path.join("/", *parts[: depth - 1], os.readlink(path), rest)  # noqa: PTH115, PTH118
                return path, target
            if depth == len(parts):
                return (path, None) if stat.S_ISREG(mode) else None
            break
        else:
            return None
    return None
