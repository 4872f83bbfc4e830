"""The bytes of a layer on their way to tar: read once, hashed, decompressed, bounded.

`LayerArchive` gives `tarfile` what it needs of a file (read, tell, seek) over a stream that cannot go back, and fails on
every length that a hostile layer could use against us: a header of gigabytes, a bomb, a stream that is not what its
digest says.
"""

import gzip
import hashlib
import io
import time
import zlib
from typing import BinaryIO, Protocol, cast

import zstandard

from junctiond.images.limits import LayerLimits

CHUNK_BYTES = 1 << 18
ZSTD_WINDOW_BYTES_MAX = 128 << 20

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class CorruptLayer(Exception):
    """A layer that is broken or hostile; the message says how."""


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Hashing(io.RawIOBase):
    """A file that hashes what is read from it."""

    def __init__(self, raw: BinaryIO, algorithm: str) -> None:
        self._raw = raw
        self.hash = hashlib.new(algorithm)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._raw.read(len(view))
        self.hash.update(data)
        view[: len(data)] = data
        return len(data)


class LayerArchive:
    """One pass over a layer's blob as a forward-only file of the uncompressed tar archive."""

    def __init__(self, blob: BinaryIO, digest: str, diff_id: str, limits: LayerLimits) -> None:
        """`digest` is the blob's, `diff_id` the uncompressed archive's; `finish` checks both."""
        self._digest, self._diff_id, self._limits = digest, diff_id, limits
        self._compressed = _Hashing(blob, digest.partition(":")[0])
        self._buffered = io.BufferedReader(cast(io.RawIOBase, self._compressed), CHUNK_BYTES)
        self._plain = _decompressor(self._buffered, self._buffered.peek(4)[:4])
        self._diff_hash = hashlib.new(diff_id.partition(":")[0])
        self._consumed = 0
        self._last = b""
        self._behind = False
        self._until_s = time.monotonic() + limits.duration_s_max
        self._headers_left: int | None = limits.header_bytes_max

    def expect_headers(self) -> None:
        """What is read from now on belongs to the headers of one entry; it begins so."""
        self._headers_left = self._limits.header_bytes_max

    def expect_content(self) -> None:
        """What is read from now on is the content of a file."""
        self._headers_left = None

    def check_time(self) -> None:
        """Ends an unpacking that takes too long.

        Raises:
            CorruptLayer: it does.
        """
        if time.monotonic() > self._until_s:
            raise CorruptLayer(
                f"it takes more than {self._limits.duration_s_max:g} s to unpack: make it smaller"
            )

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes.

        Raises:
            CorruptLayer: more than one header may have, more than a layer may have, or not decompressible.
        """
        if size < 0 or size > self._limits.read_bytes_max:
            raise CorruptLayer(f"a header of more than {self._limits.read_bytes_max} bytes")
        if self._headers_left is not None:
            self._headers_left -= size
            if self._headers_left < 0:
                most = self._limits.header_bytes_max
                raise CorruptLayer(f"headers of more than {most} bytes before one entry")
        return self._read(size)

    def _read(self, size: int) -> bytes:
        parts: list[bytes] = []
        if self._behind and size > 0:
            parts.append(self._last)
            size -= 1
            self._behind = False
        while size > 0 and (data := self._some(size)):
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def tell(self) -> int:
        """The position in the uncompressed archive."""
        return self._consumed - self._behind

    def seek(self, position: int) -> int:
        """Skips forward; one byte back is allowed, as `tarfile` reads a member's last byte to see that it is there.

        Raises:
            CorruptLayer: further back, which no well-formed archive asks for.
        """
        if position == self._consumed - 1 and self._last:
            self._behind = True
            return position
        if position < self.tell():
            raise CorruptLayer("an archive that steps back")
        while (missing := position - self.tell()) > 0:
            if not self._read(min(CHUNK_BYTES, missing)):
                break
        return self.tell()

    def _some(self, size: int) -> bytes:
        self.check_time()
        try:
            data = self._plain.read(min(size, CHUNK_BYTES))
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise CorruptLayer(f"it cannot be decompressed: {error}") from None
        if not data:
            return b""
        self._diff_hash.update(data)
        self._last = data[-1:]
        self._consumed += len(data)
        if self._consumed > self._limits.bytes_max:
            raise CorruptLayer(f"more than {self._limits.bytes_max} bytes unpacked")
        return data

    def finish(self) -> None:
        """Reads what is left and compares both digests.

        Raises:
            CorruptLayer: the layer is not the one that the manifest names.
        """
        while self._some(CHUNK_BYTES):
            pass
        while self._buffered.read(CHUNK_BYTES):
            pass
        for hashed, expected, what in (
            (self._compressed.hash, self._digest, "blob"),
            (self._diff_hash, self._diff_id, "archive"),
        ):
            if hashed.hexdigest() != expected.partition(":")[2]:
                raise CorruptLayer(f"the {what} does not have the digest {expected}")


def _decompressor(stream: _Reader, magic: bytes) -> _Reader:
    """By the first bytes, not by the media type: archives of `docker save` name none."""
    if magic.startswith(_GZIP_MAGIC):
        return gzip.GzipFile(fileobj=cast(BinaryIO, stream), mode="rb")
    if magic == _ZSTD_MAGIC:
        decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
        return cast(
            _Reader,
            decompressor.stream_reader(
                cast(BinaryIO, stream), read_across_frames=True, closefd=False
            ),
        )
    return stream
