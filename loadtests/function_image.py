"""The program of a function, taken out of its image, so that baselines run the very file that the platform runs."""

import gzip
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import zstandard

from loadtests.machine import REPOSITORY

Decoded = TypeVar("Decoded")

IMAGES = REPOSITORY / "build" / "images"


class ImageUnusable(Exception):
    """An image is missing, or its program cannot run by itself; the message says which and why."""


class _Descriptor(msgspec.Struct):
    digest: str
    mediaType: str = ""  # noqa: N815 (OCI image specification, descriptor)


class _Index(msgspec.Struct):
    manifests: list[_Descriptor]


class _Manifest(msgspec.Struct):
    config: _Descriptor
    layers: list[_Descriptor]


class _Process(msgspec.Struct, rename="pascal"):
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None


class _Config(msgspec.Struct):
    config: _Process


@dataclass(frozen=True, slots=True)
class Layout:
    """One image in an OCI layout folder (OCI image specification, image layout)."""

    folder: Path

    def argv(self) -> list[str]:
        """The command of the image."""
        config = self._decode(self._manifest().config, _Config).config
        return [*(config.entrypoint or []), *(config.cmd or [])]

    def read_file(self, path: str) -> bytes:
        """The content of a file; a higher layer hides a lower one's.

        Raises:
            ImageUnusable: no layer has the file.
        """
        wanted = path.lstrip("/")
        for layer in reversed(self._manifest().layers):
            with tarfile.open(fileobj=io.BytesIO(self._layer(layer))) as archive:
                for member in archive:
                    if member.name.lstrip("./") == wanted and member.isfile():
                        stream = archive.extractfile(member)
                        return stream.read() if stream else b""
        raise ImageUnusable(f"{self.folder}: no layer has /{wanted}")

    def _manifest(self) -> _Manifest:
        try:
            raw = (self.folder / "index.json").read_bytes()
        except FileNotFoundError as error:
            raise ImageUnusable(f"{self.folder} has no image: make images") from error
        index = msgspec.json.decode(raw, type=_Index)
        return self._decode(index.manifests[0], _Manifest)

    def _decode(self, descriptor: _Descriptor, kind: type[Decoded]) -> Decoded:
        return msgspec.json.decode(self._blob(descriptor), type=kind)

    def _layer(self, descriptor: _Descriptor) -> bytes:
        raw = self._blob(descriptor)
        if descriptor.mediaType.endswith(("+gzip", ".gzip")):
            return gzip.decompress(raw)
        if descriptor.mediaType.endswith("+zstd"):
            return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)).read()
        return raw

    def _blob(self, descriptor: _Descriptor) -> bytes:
        algorithm, _, digest = descriptor.digest.partition(":")
        return (self.folder / "blobs" / algorithm / digest).read_bytes()


def extract_program(name: str, into: Path) -> Path:
    """Writes the program of a function's image, which must be one static file, into a folder; returns its path.

    Raises:
        ImageUnusable: the image is missing or starts something else than a file of its own.
    """
    layout = Layout(IMAGES / name)
    argv = layout.argv()
    if not argv or not argv[0].startswith("/"):
        raise ImageUnusable(
            f"image {name} starts {argv}: only an absolute program can run without it"
        )
    program = into / name
    program.write_bytes(layout.read_file(argv[0]))
    program.chmod(0o755)
    return program
