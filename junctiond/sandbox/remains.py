"""What a keeper leaves behind when it is killed: mounts below its run directory and its control groups."""

import contextlib
import functools
import subprocess
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")


def cgroup_folders(parent: str, sandbox: str, mountinfo: str | None = None) -> list[Path]:
    """The control groups of a sandbox in every hierarchy of this host, version 1 and 2 (proc(5), mountinfo)."""
    hierarchies = _host_hierarchies() if mountinfo is None else _hierarchies(mountinfo)
    return [Path(f"{mount}/{parent}/{sandbox}") for mount in hierarchies]


@functools.cache
def _host_hierarchies() -> tuple[Path, ...]:
    """Read once: hierarchies are mounted at boot, and `ps` asks for every sandbox."""
    return _hierarchies(MOUNTINFO.read_text())


def _hierarchies(mountinfo: str) -> tuple[Path, ...]:
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        if right.split(" ", 1)[0] in ("cgroup", "cgroup2"):
            found.append(Path(_unescape(left.split(" ")[4])))
    return tuple(found)


def remove_cgroups(parent: str, sandbox: str) -> None:
    """Removes a sandbox's control groups; a group that still has processes stays."""
    for folder in cgroup_folders(parent, sandbox):
        with contextlib.suppress(OSError):
            folder.rmdir()


def unmount_below(folder: Path) -> bool:
    """Detaches every mount below `folder`; false where one stays."""
    for mount in reversed(_mounts_below(folder)):
        subprocess.run(["umount", "-l", "--", mount], check=False, capture_output=True)
    return not _mounts_below(folder)


def _mounts_below(folder: Path) -> list[str]:
    prefix = f"{folder}/"
    mounts = (_unescape(line.split(" ")[4]) for line in MOUNTINFO.read_text().splitlines())
    return [mount for mount in mounts if mount.startswith(prefix)]


def _unescape(text: str) -> str:
    """The kernel writes blank, tab, newline and backslash as octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
