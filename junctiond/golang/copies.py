"""The copies of Go programs, one file per program and shim, made when a program is launched first.

The originals in the layers stay untouched; a copy is bound over its original inside a sandbox. A program that cannot be
copied runs as it is: rings are a gain, never a condition.
"""

import asyncio
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from junctiond.golang import copy
from junctiond.golang.elf import NotElf
from junctiond.images.program import Program, locate
from junctiond.sandbox.plan import LaunchPlan

PROGRAM_BYTES_MAX = 256 << 20
COPIES_MAX = 256
_MODE = 0o755
_DIGEST_CHARS = 32

Identity = tuple[int, int, int, int]
logger = logging.getLogger(__name__)


class GoCopies:
    """Makes and remembers copies.

    Args:
        folder: where the copies are kept; made where it is missing.
        shim: the file of `jgo`.
    """

    def __init__(self, folder: Path, shim: Path) -> None:
        self._folder = folder
        self._shim = shim.read_bytes()
        self._shim_digest = _digest(self._shim)
        self._known: dict[Identity, Path | None] = {}

    async def bind(self, plan: LaunchPlan, layers: tuple[Path, ...]) -> tuple[str, str] | None:
        """The bind (source, target) that puts a copy in its original's place; None: the program runs as it is."""
        if not plan.rings:
            return None
        program = locate(layers, plan.argv[0], env=plan.env, cwd=plan.cwd)
        if program is None:
            return None
        try:
            made = await self._copy(program)
        except OSError as error:
            logger.warning("Go program %s not copied: %s", program.guest_path, error)
            return None
        return (str(made), program.guest_path) if made else None

    async def _copy(self, program: Program) -> Path | None:
        status = program.file.stat()
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if identity in self._known:
            made = self._known[identity]
            if made is None or made.is_file():
                return made
        made = None
        if status.st_size <= PROGRAM_BYTES_MAX:
            made = await asyncio.to_thread(self._make, program)
        while len(self._known) >= COPIES_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[identity] = made
        return made

    def _make(self, program: Program) -> Path | None:
        with program.file.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                return None
            file.seek(0)
            original = file.read(PROGRAM_BYTES_MAX)
        target = self._folder / f"{_digest(original)}-{self._shim_digest}"
        if target.is_file():
            return target
        try:
            contents = copy.make(original, self._shim)
        except NotElf as error:
            logger.debug("%s runs as it is: %s", program.guest_path, error)
            return None
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        _write(target, contents)
        self._prune(target)
        return target

    def _prune(self, newest: Path) -> None:
        """Keeps the copies made last, and none of another shim: they can be made again.

        A running sandbox holds its copy by its mount, whatever happens to the name.
        """
        copies = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        kept = [path for path in copies if path.name.endswith(self._shim_digest)]
        for path in _without(copies, kept[-COPIES_MAX:]):
            if path != newest:
                with suppress(FileNotFoundError):
                    path.unlink()


def _digest(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()[:_DIGEST_CHARS]


def _without(paths: Iterable[Path], kept: Iterable[Path]) -> list[Path]:
    names = {path.name for path in kept}
    return [path for path in paths if path.name not in names]


def _write(target: Path, contents: bytes) -> None:
    """Writes a file that is there as a whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents)
            os.fchmod(file.fileno(), _MODE)
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
