"""Which watchdog an image carries. Both kinds are called `fwatchdog`, and only one of them knows `mode`."""

from junctiond.images.base import Image
from junctiond.images.program import locate
from junctiond.sandbox.plan import Watchdog, has_watchdog

_BINARY_BYTES_MAX = 64 * 1024 * 1024
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
    config = image.config
    found = locate(image.layers, command, env=config.env, cwd=config.workdir)
    if found is None:
        return b""
    with found.file.open("rb") as file:
        return file.read(_BINARY_BYTES_MAX)
