"""Which watchdog an image carries. Both kinds are called `fwatchdog`, and only one of them knows `mode`."""

import os
import stat
from pathlib import Path

from junctiond.images.base import Image
from junctiond.sandbox.plan import Watchdog, has_watchdog

_BINARY_BYTES_MAX = 64 * 1024 * 1024
_LINKS_MAX = 8
_OF_MARK = b"upstream_url"
_CLASSIC_MARK = b"combine_output"
"""Names of environment variables that only one of the two reads, so its binary holds the text."""


def detect(image: Image) -> Watchdog:
    """The kind of watchdog that the image's entrypoint is.

    Decided by the binary where it can be read, else by whether the image sets `mode`, which only of-watchdog knows.
    """
    config = image.config
    if not has_watchdog(config):
        return Watchdog.NONE
    content = _content(image, (*config.entrypoint, *config.cmd)[0])
    if _OF_MARK in content:
        return Watchdog.OF
    if _CLASSIC_MARK in content:
        return Watchdog.CLASSIC
    sets_mode = any(entry.startswith("mode=") for entry in config.env)
    return Watchdog.OF if sets_mode else Watchdog.CLASSIC


def _content(image: Image, command: str) -> bytes:
    search = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    for entry in image.config.env:
        if entry.startswith("PATH="):
            search = entry.removeprefix("PATH=").split(":")
    if "/" in command:
        candidates = [os.path.join("/", image.config.workdir, command)]  # noqa: PTH118 - guest path
    else:
        candidates = [f"{folder}/{command}" for folder in search if folder.startswith("/")]
    for candidate in candidates:
        content = _read(image.layers, os.path.normpath(candidate))
        if content:
            return content
    return b""


def _read(layers: tuple[Path, ...], guest_path: str) -> bytes:
    """The file as the image's overlay would show it; empty where it is none.

    The image is hostile: links are followed inside the layers only, one component at a time.
    """
    for _ in range(_LINKS_MAX):
        found = _find(layers, guest_path)
        if found is None:
            return b""
        path, link = found
        if link is None:
            with path.open("rb") as file:
                return file.read(_BINARY_BYTES_MAX)
        guest_path = os.path.normpath(link)
    return b""


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
