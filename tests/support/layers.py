"""Layers as tests write them: a few entries, well-formed or hostile."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import zstandard


@dataclass(frozen=True, slots=True)
class Item:
    """One archive entry; `kind` is a type of `tarfile`."""

    name: str
    kind: bytes = tarfile.REGTYPE
    data: bytes = b""
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    pax: dict[str, str] = field(default_factory=dict)


def folder(name: str, mode: int = 0o755) -> Item:
    return Item(name, tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Item:
    return Item(name, tarfile.SYMTYPE, link=target)


def hardlink(name: str, target: str) -> Item:
    return Item(name, tarfile.LNKTYPE, link=target)


def archive(*items: Item) -> bytes:
    """The tar archive of the items, in their order and with their very names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for item in items:
            info = tarfile.TarInfo(item.name)
            info.type, info.linkname, info.mode = item.kind, item.link, item.mode
            info.uid, info.gid, info.mtime, info.size = (
                item.uid,
                item.gid,
                item.mtime,
                len(item.data),
            )
            info.pax_headers = dict(item.pax)
            tar.addfile(info, io.BytesIO(item.data))
    return buffer.getvalue()


def compressed(data: bytes, how: str) -> bytes:
    match how:
        case "gzip":
            return gzip.compress(data, mtime=0)
        case "zstd":
            return zstandard.ZstdCompressor().compress(data)
        case _:
            return data


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def snapshot(root: Path) -> dict[str, bytes]:
    """Everything under a folder, links not followed: what must not change when a hostile layer is unpacked."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else b""
        for path in sorted(root.rglob("*"))
    }
