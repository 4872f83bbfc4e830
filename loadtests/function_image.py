"""The program of a function, unpacked from its image, so that baselines run the very files that the platform runs."""

import gzip
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import zstandard

from loadtests.machine import REPOSITORY
from loadtests.program import PATH, Program, behind_watchdog

Decoded = TypeVar("Decoded")

NGINX = "etc/nginx/nginx.conf"
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
    """The part of a container's configuration that says how it starts."""

    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: list[str] | None = None
    user: str = ""
    working_dir: str = ""


class _Config(msgspec.Struct):
    config: _Process


@dataclass(frozen=True, slots=True)
class Layout:
    """One image in an OCI layout folder (OCI image specification, image layout)."""

    folder: Path

    def process(self) -> _Process:
        """How the image starts."""
        return self._decode(self._manifest().config, _Config).config

    def unpack(self, root: Path) -> None:
        """Writes the files of all layers, bottom first, into a folder. Layers of this repository remove nothing."""
        root.mkdir(parents=True)
        for layer in self._manifest().layers:
            with tarfile.open(fileobj=io.BytesIO(self._layer(layer))) as archive:
                archive.extractall(root, filter="fully_trusted")  # our own build
        root.chmod(0o755)

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


def extract(name: str, into: Path) -> Program:
    """Unpacks a function's image below a folder; returns its program, the watchdog taken away.

    Raises:
        ImageUnusable: the image is missing or names nothing to start.
    """
    layout = Layout(IMAGES / name)
    process = layout.process()
    env = {"PATH": PATH, **dict(one.split("=", 1) for one in process.env or [])}
    argv = behind_watchdog([*(process.entrypoint or []), *(process.cmd or [])], env)
    if not argv:
        raise ImageUnusable(f"image {name} names no program")
    root = into / name
    layout.unpack(root)
    uid, gid = _ids(process.user, root)
    return Program(
        argv=tuple(argv),
        root=root,
        env=env,
        cwd=process.working_dir or "/",
        uid=uid,
        gid=gid,
        configuration=NGINX if (root / NGINX).exists() else "",
    )


def _ids(user: str, root: Path) -> tuple[int, int]:
    """The numbers of an image's user: a number, or a name of its /etc/passwd; nobody named is root."""
    if not user or user.isdecimal():
        return int(user or 0), int(user or 0)
    for line in (root / "etc" / "passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == user:
            return int(uid), int(gid)
    raise ImageUnusable(f"{root}: no user {user} in /etc/passwd")
