"""The entries of a layer's archive one by one, in bounded memory."""

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, cast

from junctiond.images.archive import CorruptLayer, LayerArchive
from junctiond.images.limits import LayerLimits
from junctiond.images.pax import Member

_PAIR_BYTES = 64
"""What a pair of a mapping takes beside its text."""


def opened(archive: LayerArchive) -> tarfile.TarFile:
    """The archive as `tarfile` reads it.

    Raises:
        CorruptLayer, tarfile.TarError: its first entry is broken.
    """
    # tarfile asks a file only for read, tell and seek.
    file = cast(BinaryIO, archive)
    with _parsing():
        return tarfile.open(fileobj=file, mode="r:", errors="surrogateescape", tarinfo=Member)


def entries(
    tar: tarfile.TarFile, archive: LayerArchive, limits: LayerLimits
) -> Iterator[tarfile.TarInfo]:
    """The entries, each forgotten when the next one is asked for: `tarfile` would keep a million of them.

    Raises:
        CorruptLayer, tarfile.TarError: an entry is broken or its headers are too large.
    """
    known: list[tarfile.TarInfo] = vars(tar)["members"]
    while True:
        archive.expect_headers()
        with _parsing():
            member = tar.next()
        if member is None:
            return
        _check_global(tar.pax_headers or {}, limits.global_bytes_max)
        archive.expect_content()
        yield member
        known.clear()


def _check_global(headers: Mapping[str, str], bytes_max: int) -> None:
    held = sum(len(key) + len(value) + _PAIR_BYTES for key, value in headers.items())
    if held > bytes_max:
        raise CorruptLayer(f"global headers of more than {bytes_max} bytes")


@contextmanager
def _parsing() -> Iterator[None]:
    """What `tarfile` lets escape: it parses numbers without a net, and headers of headers by recursion."""
    try:
        yield
    except (ValueError, OverflowError, EOFError) as error:
        raise CorruptLayer(f"a broken header: {error}") from None
    except RecursionError:
        raise CorruptLayer("an entry with hundreds of headers") from None
