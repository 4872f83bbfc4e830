"""Files of Debian packages. apt downloads them and checks them against the archive's signatures."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tools.imagebuild.tree import Entry, Tree

# Debian 12 has merged /usr: packages may still ship the old names.
_MERGED = ("bin", "sbin", "lib", "lib64")
_DROPPED = (
    "usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/locale", "usr/share/bug",
    "usr/share/gdb", "usr/share/bash-completion", "usr/share/python3", "usr/share/applications",
    "usr/share/pixmaps", "usr/include", "etc/ld.so.conf.d", "usr/share/gcc", "usr/share/systemtap",
)  # fmt: skip


def download(packages: Sequence[str], cache: Path) -> list[Path]:
    """The newest .deb of each package that the configured archive offers, from the cache where it has them.

    Raises:
        RuntimeError: apt cannot get one; the message holds apt's words.
    """
    cache.mkdir(parents=True, exist_ok=True)
    known_file = cache / "known.json"
    known: dict[str, str] = json.loads(known_file.read_text()) if known_file.exists() else {}
    for package in packages:
        if package in known and (cache / known[package]).exists():
            continue
        known[package] = _fetch(package, cache)
        known_file.write_text(json.dumps(known, indent=1, sort_keys=True))
    return [cache / known[package] for package in packages]


def _fetch(package: str, cache: Path) -> str:
    """Downloads one package and returns its file name.

    apt is shown an empty list of installed packages: otherwise it would offer what this machine has, from whatever
    archive, rather than Debian's own.
    """
    options = ["-o", "Dir::State::status=/dev/null", "-o", "APT::Sandbox::User=root"]
    before = set(cache.glob(f"{package}_*.deb"))
    for path in before:
        path.unlink()
    command = ["apt-get", *options, "-q", "download", package]
    done = subprocess.run(command, cwd=cache, capture_output=True, text=True, check=False)
    if done.returncode != 0 and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True, check=False)
    found = sorted(path.name for path in cache.glob(f"{package}_*.deb"))
    if done.returncode != 0 or not found:
        raise RuntimeError(f"apt-get download {package} failed: {done.stderr.strip()}")
    return found[-1]


def add(tree: Tree, deb: Path, dropped: Sequence[str] = ()) -> None:
    """Adds the files of a package to the tree, without documentation and the paths that start as `dropped`."""
    unpacked = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(unpacked.stdout), mode="r:") as tar:
        for member in tar:
            path = _merged(member.name.removeprefix("./").strip("/"))
            if not path or path in _MERGED or path.startswith((*_DROPPED, *dropped)):
                continue
            if member.isdir():
                continue  # parents are made as needed; an empty folder of a package serves no function
            if member.issym():
                tree.link(path, member.linkname)
            elif member.islnk():
                tree.entries[path] = tree.entries[_merged(member.linkname.removeprefix("./"))]
            elif (file := tar.extractfile(member)) is not None:
                # Set-user-id programs have no place in a function's image.
                tree.entries[path] = Entry(tarfile.REGTYPE, member.mode & 0o755, file.read())


def merge_usr(tree: Tree) -> None:
    """Adds the links of the merged /usr."""
    for name in _MERGED:
        tree.link(name, f"usr/{name}")


def _merged(path: str) -> str:
    first, slash, rest = path.partition("/")
    return f"usr/{first}/{rest}" if slash and first in _MERGED else path
