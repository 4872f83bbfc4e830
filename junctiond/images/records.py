"""What the store remembers on disk: one file for each image, one for each name that pointed at an image.

images/records/HEX.json    Record: an image that is unpacked on this host
images/names/HASH.json     Name: the digest that a reference meant when it was last resolved
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from junctiond.images.base import ImageConfig

_T = TypeVar("_T")


class Record(msgspec.Struct, frozen=True):
    """One image. Digests are written as `sha256:HEX`."""

    digest: str
    blobs: tuple[str, ...]
    """Of its manifest, configuration and compressed layers: what collection must keep."""

    diff_ids: tuple[str, ...]
    """Bottom first."""

    config: ImageConfig
    stored_at_ns: int


class Name(msgspec.Struct, frozen=True):
    """A reference and what it last meant."""

    reference: str
    digest: str


class Records:
    """The folder of records. Files are replaced by rename; one that cannot be read counts as absent."""

    def __init__(self, folder: Path) -> None:
        self._records, self._names = folder / "records", folder / "names"
        self._records.mkdir(parents=True, exist_ok=True)
        self._names.mkdir(parents=True, exist_ok=True)

    def image(self, digest: str) -> Record | None:
        """The image of this digest."""
        return _read(self._records / f"{_hex(digest)}.json", Record)

    def images(self) -> Iterator[Record]:
        """Every image."""
        for path in sorted(self._records.glob("*.json")):
            record = _read(path, Record)
            if record is not None:
                yield record

    def put_image(self, record: Record) -> None:
        """Stores an image."""
        write_whole(self._records / f"{_hex(record.digest)}.json", msgspec.json.encode(record))

    def remove_image(self, digest: str) -> None:
        """Forgets an image and the names that point at it."""
        (self._records / f"{_hex(digest)}.json").unlink(missing_ok=True)
        for path in self._names.glob("*.json"):
            name = _read(path, Name)
            if name is None or name.digest == digest:
                path.unlink(missing_ok=True)

    def digest_of(self, reference: str) -> str | None:
        """What the reference meant when it was last resolved."""
        name = _read(self._name_path(reference), Name)
        return name.digest if name is not None and name.reference == reference else None

    def put_name(self, reference: str, digest: str) -> None:
        """Remembers what a reference means."""
        if self.digest_of(reference) != digest:
            write_whole(self._name_path(reference), msgspec.json.encode(Name(reference, digest)))

    def _name_path(self, reference: str) -> Path:
        return self._names / f"{hashlib.sha256(reference.encode()).hexdigest()}.json"


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file so that a crash leaves the old content or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _hex(digest: str) -> str:
    return digest.replace(":", "-")


def _read(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
