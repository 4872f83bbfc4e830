"""Small files of the kernel's: one value each, and what their refusals mean."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from inference.errors import HardwareAbsent, HardwareDenied, HardwareError, HardwareRefused


@dataclass(frozen=True, slots=True)
class HostRoots:
    """Where the kernel's file systems are mounted; tests and containers have them elsewhere."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")


def read_text(path: Path, mend: str) -> str:
    """The content of a file, without the newline at its end.

    Args:
        path: of the file.
        mend: what to do where the process may not read it.

    Raises:
        HardwareAbsent: no such file.
        HardwareDenied: no right to read it.
        HardwareError: the device behind it did not answer.
    """
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise _translated(path, error, mend) from error


def read_int(path: Path, mend: str) -> int:
    """The integer in a file; raises as `read_text`, and HardwareError where it holds none."""
    text = read_text(path, mend)
    try:
        return int(text)
    except ValueError:
        raise HardwareError(str(path), f"holds {text!r}", "expected one integer") from None


def write_text(path: Path, text: str, mend: str) -> None:
    """Write a control file that exists: one write, as the kernel wants it.

    Args:
        path: of the file; never created.
        text: the value.
        mend: what to do where the process may not write it.

    Raises:
        HardwareAbsent: no such file.
        HardwareDenied: no right to write it.
        HardwareRefused: the kernel does not take the value.
    """
    try:
        # Never O_CREAT: a control file is there or it is not.
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
    except OSError as error:
        raise _translated(path, error, mend, text) from error


def _translated(path: Path, error: OSError, mend: str, written: str = "") -> HardwareError:
    what = f"cannot write {written!r}: " if written else ""
    problem = f"{what}{error.strerror or error}"
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV):
        return HardwareAbsent(str(path), problem, "this host or kernel does not have it")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HardwareDenied(str(path), problem, mend)
    if written and error.errno in (errno.EINVAL, errno.ERANGE, errno.EBUSY):
        return HardwareRefused(str(path), problem, "ask for a value that the kernel takes")
    return HardwareError(str(path), problem, "the device behind it does not answer")
