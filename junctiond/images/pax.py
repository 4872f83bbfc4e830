"""Tar entries whose extended headers (POSIX.1-2017, pax, "pax Extended Header") are read by rules of our own.

`tarfile` searches them with regular expressions whose time grows with the square of a run of digits, and holds the
interpreter meanwhile (CVE-2024-6232): a header of one mebibyte would stop the whole daemon for hours. Here each record
is looked at once, and what is not exactly a record is an error.
"""

import tarfile
from typing import Any, Self, cast

from junctiond.images.archive import CorruptLayer

_LENGTH_DIGITS_MAX = 10
_SPARSE = "GNU.sparse."


def records(data: bytes) -> dict[str, str]:
    """The records LENGTH KEY=VALUE and a newline of one extended header; of a repeated key the last value.

    Raises:
        CorruptLayer: it is no sequence of records, or tells of a sparse file.
    """
    found: dict[str, str] = {}
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + _LENGTH_DIGITS_MAX + 1)
        digits = data[start:space] if space > start else b""
        end = start + int(digits) if digits.isdigit() else start
        if not space < end <= len(data) or data[end - 1 : end] != b"\n":
            raise CorruptLayer("an extended header with a record of another length than it says")
        key, separator, value = data[space + 1 : end - 1].partition(b"=")
        if not key or not separator:
            raise CorruptLayer("an extended header with a record that is no KEY=VALUE")
        name = _text(key)
        if name.startswith(_SPARSE):
            raise CorruptLayer("a sparse file, which no image tool writes")
        found[name] = _text(value)
        start = end
    return found


class Member(tarfile.TarInfo):
    """An entry for `tarfile.open(tarinfo=…)`."""

    def _proc_pax(self, tar: tarfile.TarFile) -> Self:
        """Reads an extended header and the entry after it; `tarfile` calls this for each of these headers."""
        file: Any = tar.fileobj
        given = records(file.read(_blocks(self.size))[: self.size])
        for_all = cast(dict[str, str], tar.pax_headers)
        if self.type == tarfile.XGLTYPE:
            for_all.update(given)
        try:
            entry = self.fromtarfile(tar)
        except tarfile.HeaderError as error:
            raise CorruptLayer(f"an extended header before a broken one: {error}") from None
        if self.type == tarfile.XGLTYPE:
            return entry
        # As in `tarfile`: the header's own offset, and the size it says instead of the entry's.
        patched: Any = entry
        patched._apply_pax_info(for_all | given, tar.encoding, tar.errors)
        entry.offset = self.offset
        if "size" in given:
            known = entry.isreg() or entry.type not in tarfile.SUPPORTED_TYPES
            tar.offset = entry.offset_data + (_blocks(entry.size) if known else 0)
        return entry


def _blocks(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
