"""Unpacks one layer into a folder that the kernel's overlay can use as a lower directory.

Ownership, modes, times, hard links and file capabilities are kept; whiteouts take overlay's form; devices are left out,
as no sandbox may open one. The caller gives a fresh folder and removes it when this fails.
"""

import errno
import os
import stat
import tarfile
from pathlib import Path

from junctiond.images.archive import CHUNK_BYTES, CorruptLayer, LayerArchive
from junctiond.images.entries import entries, opened
from junctiond.images.limits import LayerLimits
from junctiond.images.root import LayerRoot, Parts
from junctiond.images.whiteout import Action, InvalidName, translate

OPAQUE_ATTRIBUTE = "trusted.overlay.opaque"
_XATTR_HEADER = "SCHILY.xattr."
_ID_MAX = (1 << 32) - 2
_NS = 1_000_000_000
_KEY_BYTES = 128
"""What a remembered path takes beside its own bytes."""
_TIME_S_MAX = 1 << 40


def unpack(blob: Path, digest: str, diff_id: str, target: Path, limits: LayerLimits) -> None:
    """Unpacks the blob into the empty folder `target`.

    Raises:
        CorruptLayer: the layer is broken, hostile, or not what its digests say.
        OSError: this host's disk failed.
    """
    with blob.open("rb", buffering=0) as stream, LayerRoot(target, limits) as root:
        archive = LayerArchive(stream, digest, diff_id, limits)
        _Unpacker(archive, root, limits).run()
        archive.finish()


class _Unpacker:
    def __init__(self, archive: LayerArchive, root: LayerRoot, limits: LayerLimits) -> None:
        self._archive, self._root, self._limits = archive, root, limits
        self._hidden: set[bytes] = set()
        self._folder_times: dict[bytes, int] = {}
        self._remembered_left = limits.remembered_bytes_max

    def run(self) -> None:
        try:
            with opened(self._archive) as tar:
                for member in entries(tar, self._archive, self._limits):
                    self._archive.check_time()
                    self._root.take_place()
                    self._entry(tar, member)
        except (tarfile.TarError, InvalidName) as error:
            raise CorruptLayer(str(error) or "a broken tar archive") from None
        self._restore_folder_times()

    def _remember(self, parts: Parts) -> bytes:
        """The path as one key of what is kept until the end."""
        path = b"/".join(parts)
        self._remembered_left -= len(path) + _KEY_BYTES
        if self._remembered_left < 0:
            raise CorruptLayer("more folders and whiteouts than fit into memory")
        return path

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = os.fsencode(member.name)
        if max(len(name), len(os.fsencode(member.linkname))) > self._limits.path_bytes_max:
            raise CorruptLayer("a path longer than PATH_MAX")
        if "\0" in member.linkname:
            raise CorruptLayer("a link to a path with a NUL character")
        target = translate(name, self._limits.depth_max)
        match target.action:
            case Action.KEEP:
                self._make(tar, member, target.parts)
            case Action.REMOVE:
                self._whiteout(target.parts)
            case Action.OPAQUE:
                self._opaque(target.parts)
            case Action.SKIP:
                pass

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, parts: Parts) -> None:
        parent, name = self._root.folder(parts[:-1]), parts[-1]
        if member.isdir():
            self._folder(parent, parts, member)
            return
        if not (member.isreg() or member.issym() or member.islnk() or member.isfifo()):
            return  # a device, or a type of tar that is no file
        if member.issparse():
            raise CorruptLayer("a sparse file, which no image tool writes")
        self._clear(parent, name)
        if member.islnk():
            self._link(parts, member)
        elif member.issym():
            os.symlink(os.fsencode(member.linkname) or b".", name, dir_fd=parent)
            _own(name, member, parent)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
            _own(name, member, parent)
            os.chmod(name, member.mode & 0o7777, dir_fd=parent)
        else:
            self._file(tar, member, parent, name)

    def _clear(self, parent: int, name: bytes) -> None:
        """Makes room for an entry: a layer may name a path twice, and the last one counts."""
        if self._root.kind(parent, name) is None:
            return
        self._root.remove(parent, name)

    def _folder(self, parent: int, parts: Parts, member: tarfile.TarInfo) -> None:
        name = parts[-1]
        kind = self._root.kind(parent, name)
        if kind is not None and kind != stat.S_IFDIR:
            self._root.remove(parent, name)
            kind = None
        if kind is None:
            os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            os.fchown(descriptor, _id(member.uid), _id(member.gid))
            os.fchmod(descriptor, member.mode & 0o7777)
            _set_xattrs(descriptor, member)
            if self._hidden and b"/".join(parts) in self._hidden:
                # The same layer hides the old entry of this name: only this folder's own content may show.
                os.setxattr(descriptor, OPAQUE_ATTRIBUTE, b"y")
        finally:
            os.close(descriptor)
        self._folder_times[self._remember(parts)] = _time_ns(member.mtime)

    def _file(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: bytes
    ) -> None:
        if member.size > self._limits.bytes_max:
            raise CorruptLayer(f"a file of more than {self._limits.bytes_max} bytes")
        source = tar.extractfile(member)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            left = member.size
            while source is not None and left > 0:
                data = source.read(min(CHUNK_BYTES, left))
                if not data:
                    raise CorruptLayer("a file shorter than its header says")
                left -= len(data)
                while data:
                    data = data[os.write(descriptor, data) :]
            os.fchown(descriptor, _id(member.uid), _id(member.gid))
            os.fchmod(descriptor, member.mode & 0o7777)
            _set_xattrs(descriptor, member)
            os.utime(descriptor, ns=(_time_ns(member.mtime),) * 2)
        finally:
            os.close(descriptor)

    def _link(self, parts: Parts, member: tarfile.TarInfo) -> None:
        goal = translate(os.fsencode(member.linkname), self._limits.depth_max)
        if goal.action is not Action.KEEP or goal.parts == parts:
            raise CorruptLayer("a hard link to nothing")
        # Two folders at once: the first descriptor must outlive the second look-up.
        source = os.dup(self._root.folder(goal.parts[:-1]))
        try:
            if self._root.kind(source, goal.parts[-1]) in (None, stat.S_IFDIR):
                raise CorruptLayer("a hard link to nothing in this layer")
            os.link(
                goal.parts[-1],
                parts[-1],
                src_dir_fd=source,
                dst_dir_fd=self._root.folder(parts[:-1]),
                follow_symlinks=False,
            )
        finally:
            os.close(source)

    def _whiteout(self, parts: Parts) -> None:
        self._hidden.add(self._remember(parts))
        parent, name = self._root.folder(parts[:-1]), parts[-1]
        kind = self._root.kind(parent, name)
        if kind is None:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
        elif kind == stat.S_IFDIR:
            self._opaque(parts)
        # Any other entry of this layer hides the lower one by itself.

    def _opaque(self, parts: Parts) -> None:
        os.setxattr(self._root.folder(parts), OPAQUE_ATTRIBUTE, b"y")

    def _restore_folder_times(self) -> None:
        """Last, because every file made in a folder changed its time."""
        for path, time_ns in self._folder_times.items():
            self._archive.check_time()
            parts = tuple(path.split(b"/"))
            parent = self._root.folder(parts[:-1])
            if self._root.kind(parent, parts[-1]) == stat.S_IFDIR:
                os.utime(parts[-1], ns=(time_ns, time_ns), dir_fd=parent, follow_symlinks=False)


def _own(name: bytes, member: tarfile.TarInfo, parent: int) -> None:
    os.chown(name, _id(member.uid), _id(member.gid), dir_fd=parent, follow_symlinks=False)
    time_ns = _time_ns(member.mtime)
    os.utime(name, ns=(time_ns, time_ns), dir_fd=parent, follow_symlinks=False)


def _set_xattrs(descriptor: int, member: tarfile.TarInfo) -> None:
    """Sets what a program may rely on.

    `trusted.` steers overlay itself and `user.overlay.` its unprivileged form: a layer must not speak to either.
    """
    for header, text in member.pax_headers.items():
        if not header.startswith(_XATTR_HEADER):
            continue
        attribute = header[len(_XATTR_HEADER) :]
        kept = attribute == "security.capability" or (
            attribute.startswith("user.") and not attribute.startswith("user.overlay.")
        )
        if not kept:
            continue
        if "\0" in attribute:
            raise CorruptLayer("an attribute's name with a NUL character")
        try:
            os.setxattr(descriptor, attribute, os.fsencode(text))
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.E2BIG, errno.ERANGE):
                raise CorruptLayer(f"an attribute {attribute[:100]!r} that cannot be") from None
            if error.errno != errno.EOPNOTSUPP:
                raise


def _id(number: int) -> int:
    if not 0 <= number <= _ID_MAX:
        raise CorruptLayer(f"an owner {number} that cannot be")
    return number


def _time_ns(seconds: float) -> int:
    """Times that the file system could not keep become the epoch's."""
    if not 0 <= seconds <= _TIME_S_MAX:
        return 0
    return int(seconds * _NS)
