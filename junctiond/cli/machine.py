"""Reads the facts of this machine that `features` judges."""

import errno
import glob
import os
import platform
import shutil
import socket
import subprocess
from pathlib import Path

import msgspec

from junctiond.cli.features import Facts, Feature
from junctiond.settings import SHIM, Settings, SettingsError, split_address

PARTS = ("jnetd", "jsandbox", "jinit", SHIM)
CGROUP = Path("/sys/fs/cgroup")
CHECK_TIMEOUT_S = 20


def read(settings: Settings) -> Facts:
    """All facts; a file that is missing counts as the feature being off."""
    version, controllers = cgroup()
    binaries = {name: _binary(settings, name) for name in PARTS}
    return Facts(
        euid=os.geteuid(),
        kernel=platform.release(),
        cgroup_version=version,
        cgroup_controllers=controllers,
        user_namespaces_max=_number(Path("/proc/sys/user/max_user_namespaces")),
        seccomp_actions=frozenset(_text(Path("/proc/sys/kernel/seccomp/actions_avail")).split()),
        filesystems=frozenset(_text(Path("/proc/filesystems")).split()),
        hugepages_total=_meminfo("HugePages_Total"),
        hugepage_kib=_meminfo("Hugepagesize"),
        tun=Path("/dev/net/tun").exists(),
        dpdk_library=next(iter(sorted(glob.glob("/usr/lib/*/librte_eal.so*"))), ""),  # noqa: PTH207
        binaries=binaries,
        skopeo=shutil.which("skopeo") or "",
        listen=settings.listen,
        listen_state=listen_state(settings),
        sandbox_checks=sandbox_checks(binaries["jsandbox"]),
    )


def cgroup(root: Path = CGROUP) -> tuple[int, frozenset[str]]:
    """Cgroup version (2, 1, or 0 for none) and the controllers it offers."""
    unified = _text(root / "cgroup.controllers")
    if unified:
        return 2, frozenset(unified.split())
    if not root.is_dir():
        return 0, frozenset()
    offered = frozenset(
        name for folder in root.iterdir() if folder.is_dir() for name in folder.name.split(",")
    )
    return (1, offered) if offered else (0, offered)


def listen_state(settings: Settings) -> str:
    """What holds an address: nobody ("free"), this installation ("junctiond"), or why it cannot be bound."""
    host, port = split_address(settings.listen, "listen")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and settings.host_socket.exists():
                return "junctiond"
            return os.strerror(error.errno or 0).lower()
    return "free"


class _Check(msgspec.Struct):
    """One entry of `jsandbox check --json`."""

    name: str
    on: bool
    why: str = ""
    mend: str = ""
    required: bool = True


def sandbox_checks(binary: str) -> tuple[Feature, ...]:
    """What the sandbox launcher finds by trying; one failed feature where it cannot be asked."""
    if not binary:
        return ()
    try:
        done = subprocess.run(
            [binary, "check", "--json"], capture_output=True, timeout=CHECK_TIMEOUT_S, check=False
        )
        checks = msgspec.json.decode(done.stdout, type=list[_Check])
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as error:
        mend = "make build: the launcher is of another version or broken"
        return (Feature("sandbox launcher", False, True, f"jsandbox check: {error}", mend),)
    return tuple(
        Feature(one.name.replace("_", " "), one.on, one.required, one.why or "tried", one.mend)
        for one in checks
    )


def _binary(settings: Settings, name: str) -> str:
    try:
        return str(settings.binary(name))
    except SettingsError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if text.isdigit() else 0


def _meminfo(name: str) -> int:
    for line in _text(Path("/proc/meminfo")).splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    return 0
