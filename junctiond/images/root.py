"""A folder that stands for a file system's root, in which every path ends inside, whatever links say.

Everything goes through descriptors of folders opened without following links, so a symbolic link in a layer can name
any path and still reach nothing outside. (openat2 with RESOLVE_IN_ROOT does the same; Python has no such call.)
"""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from junctiond.images.archive import CorruptLayer
from junctiond.images.limits import LayerLimits

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Parts = tuple[bytes, ...]


class LayerRoot:
    """The root folder of one layer while it is being filled. Use it as a context manager."""

    def __init__(self, path: Path, limits: LayerLimits) -> None:
        self._limits = limits
        self._root = os.open(path, _OPEN_FOLDER)
        # Archives list a folder's files in a row: the folder of the last entry is nearly always the next one's. Whoever
        # removes an entry asks for its parent first, so what is remembered is never below something removed.
        self._cached: tuple[Parts, int] | None = None
        self._places_left = limits.entries_max

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._cached is not None:
            os.close(self._cached[1])
        os.close(self._root)

    def take_place(self) -> None:
        """Counts one entry, or one folder made for it.

        Raises:
            CorruptLayer: there are too many.
        """
        if self._places_left == 0:
            raise CorruptLayer(f"more than {self._limits.entries_max} entries and folders for them")
        self._places_left -= 1

    def folder(self, parts: Parts) -> int:
        """A descriptor of the folder, made with its parents where it is missing; valid until the next call.

        Raises:
            CorruptLayer: a file is in the way, or a link that leads out or to nothing.
        """
        if self._cached is not None and self._cached[0] == parts:
            return self._cached[1]
        descriptor = self._walk(parts)
        if self._cached is not None:
            os.close(self._cached[1])
        self._cached = (parts, descriptor)
        return descriptor

    def kind(self, folder: int, name: bytes) -> int | None:
        """The file type bits (`stat.S_IFMT`) of an entry; None where there is none."""
        try:
            return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return None

    def remove(self, folder: int, name: bytes) -> None:
        """Removes an entry, a folder with all it holds; nothing happens where there is none."""
        kind = self.kind(folder, name)
        if kind is None:
            return
        if kind == stat.S_IFDIR:
            shutil.rmtree(os.fsdecode(name), dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)

    def _walk(self, parts: Parts) -> int:
        # Folders of the path itself are made where they are missing, those that a link names are not.
        pending = [(name, True) for name in reversed(parts)]
        opened = [os.dup(self._root)]
        links = 0
        try:
            while pending:
                name, own = pending.pop()
                if name == b"..":
                    if len(opened) == 1:
                        raise CorruptLayer("a symbolic link that climbs above the root")
                    os.close(opened.pop())
                    continue
                target = self._step(opened, name, made=own)
                if target is None:
                    continue
                links += 1
                if links > self._limits.symlinks_max:
                    raise CorruptLayer("symbolic links in a circle")
                if target.startswith(b"/"):
                    while len(opened) > 1:
                        os.close(opened.pop())
                names = [part for part in reversed(target.split(b"/")) if part not in (b"", b".")]
                pending.extend((part, False) for part in names)
                if len(opened) + len(pending) > self._limits.depth_max:
                    raise CorruptLayer(f"a path of more than {self._limits.depth_max} folders")
            return opened.pop()
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _step(self, opened: list[int], name: bytes, *, made: bool) -> bytes | None:
        """Opens one folder on top of `opened`; returns a symbolic link's target instead where the name is one."""
        here = opened[-1]
        kind = self.kind(here, name)
        if kind == stat.S_IFLNK:
            return os.readlink(name, dir_fd=here)
        if kind is None:
            if not made:
                raise CorruptLayer("a path through a symbolic link to nothing in this layer")
            self.take_place()
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=here)
        elif kind != stat.S_IFDIR:
            raise CorruptLayer("a path through something that is no folder")
        opened.append(os.open(name, _OPEN_FOLDER, dir_fd=here))
        return None
