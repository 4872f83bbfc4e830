"""A layer's files in memory, and the one tar archive that they make."""

import io
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

FOLDER_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder or a symbolic link. Everything belongs to root and was made at the epoch."""

    kind: bytes
    mode: int
    data: bytes = b""
    link: str = ""


@dataclass(slots=True)
class Tree:
    """Paths, without a leading slash, and what is there."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def folder(self, path: str, mode: int = FOLDER_MODE) -> None:
        """Adds a folder."""
        self.entries[path.strip("/")] = Entry(tarfile.DIRTYPE, mode)

    def file(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        """Adds a file."""
        content = data.encode() if isinstance(data, str) else data
        self.entries[path.strip("/")] = Entry(tarfile.REGTYPE, mode, content)

    def link(self, path: str, target: str) -> None:
        """Adds a symbolic link."""
        self.entries[path.strip("/")] = Entry(tarfile.SYMTYPE, 0o777, link=target)

    def copy(self, source: Path, path: str) -> None:
        """Adds a file or a whole folder of this machine; only the executable bit of its mode counts."""
        if source.is_dir():
            self.folder(path)
            for child in sorted(source.iterdir()):
                if child.name != "__pycache__":
                    self.copy(child, f"{path}/{child.name}")
            return
        executable = source.stat().st_mode & stat.S_IXUSR
        self.file(path, source.read_bytes(), 0o755 if executable else 0o644)

    def archive(self) -> bytes:
        """The tar archive: sorted, parents first, no name or time of the building machine."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, entry in sorted(self._with_parents().items()):
                info = tarfile.TarInfo(path)
                info.type, info.mode, info.linkname = entry.kind, entry.mode, entry.link
                info.size = len(entry.data)
                tar.addfile(info, io.BytesIO(entry.data))
        return buffer.getvalue()

    def _with_parents(self) -> dict[str, Entry]:
        complete = dict(self.entries)
        for path in self.entries:
            while "/" in path:
                path = path.rpartition("/")[0]
                complete.setdefault(path, Entry(tarfile.DIRTYPE, FOLDER_MODE))
        return complete
