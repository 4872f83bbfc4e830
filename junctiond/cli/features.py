"""What this machine offers to junctiond, judged. Pure: `machine.py` reads the facts, this decides.

Each feature is on or off, with the reason and, where it is off, the mend. A required feature that is off means that
functions cannot run here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

KERNEL_MIN = (5, 11)
"""Seccomp notifications that pass descriptors in one step (SECCOMP_ADDFD_FLAG_SEND needs 5.14; falls back before)."""
CONTROLLERS = ("memory", "cpu", "pids")
DISPENSABLE = frozenset({"libjshim.so"})
"""Parts of the data plane without which functions run, only slower."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read from the machine. Texts are as the kernel writes them."""

    euid: int
    kernel: str
    cgroup_version: int
    cgroup_controllers: frozenset[str]
    user_namespaces_max: int
    seccomp_actions: frozenset[str]
    filesystems: frozenset[str]
    hugepages_total: int
    hugepage_kib: int
    tun: bool
    dpdk_library: str
    binaries: Mapping[str, str]
    """Path of each part of the data plane; empty: not found."""
    skopeo: str
    listen: str
    listen_state: str
    """"free", "junctiond" (ours answers there) or the reason it cannot be bound."""
    sandbox_checks: tuple["Feature", ...] = field(default=())
    """What `jsandbox check` found by trying."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One line of `junctiond check`."""

    name: str
    on: bool
    required: bool
    why: str
    mend: str = ""


def judge(facts: Facts) -> list[Feature]:
    """Every feature in the order a person would mend them."""
    features = [
        _root(facts),
        _kernel(facts),
        _user_namespaces(facts),
        _seccomp(facts),
        _overlay(facts),
        _cgroup(facts),
        *_binaries(facts),
        _skopeo(facts),
        _port(facts),
        _tun(facts),
        _hugepages(facts),
        _dpdk(facts),
    ]
    known = {feature.name for feature in features}
    return [*features, *(one for one in facts.sandbox_checks if one.name not in known)]


def sufficient(features: list[Feature]) -> bool:
    """Whether functions can run here."""
    return all(feature.on for feature in features if feature.required)


def _root(facts: Facts) -> Feature:
    why = "runs as root" if facts.euid == 0 else f"runs as uid {facts.euid}"
    return Feature("root", facts.euid == 0, True, why, "run junctiond as root (sudo junctiond up)")


def _kernel(facts: Facts) -> Feature:
    numbers = facts.kernel.split("-", 1)[0].split(".")
    version = tuple(int(number) for number in numbers[:2] if number.isdigit())
    mend = f"boot a kernel of at least {KERNEL_MIN[0]}.{KERNEL_MIN[1]} (Debian 12 has 6.1)"
    return Feature("kernel", version >= KERNEL_MIN, True, f"Linux {facts.kernel}", mend)


def _user_namespaces(facts: Facts) -> Feature:
    on = facts.user_namespaces_max > 0
    why = f"up to {facts.user_namespaces_max} user namespaces" if on else "user namespaces are off"
    return Feature("user namespaces", on, True, why, "sysctl -w user.max_user_namespaces=65536")


def _seccomp(facts: Facts) -> Feature:
    on = "user_notif" in facts.seccomp_actions
    why = "the kernel has user_notif" if on else "the kernel lacks user_notif"
    return Feature("seccomp notify", on, True, why, "boot a kernel with CONFIG_SECCOMP_FILTER")


def _overlay(facts: Facts) -> Feature:
    on = "overlay" in facts.filesystems
    why = "overlay is there" if on else "overlay is not in /proc/filesystems"
    return Feature("overlay mounts", on, True, why, "modprobe overlay")


def _cgroup(facts: Facts) -> Feature:
    missing = [name for name in CONTROLLERS if name not in facts.cgroup_controllers]
    if facts.cgroup_version == 0:
        return Feature(
            "cgroups", False, True, "no cgroup file system", "mount cgroup2 at /sys/fs/cgroup"
        )
    why = f"version {facts.cgroup_version}, with " + ", ".join(
        name for name in CONTROLLERS if name not in missing
    )
    if missing:
        why = f"version {facts.cgroup_version}, without {', '.join(missing)}"
    mend = f"boot with the {', '.join(missing)} controller enabled" if missing else ""
    return Feature("cgroups", not missing, True, why, mend)


def _binaries(facts: Facts) -> list[Feature]:
    mend = "make build, or set JUNCTIOND_BIN_DIR to the folder that has it"
    return [
        Feature(name, bool(path), name not in DISPENSABLE, path or "not found", mend)
        for name, path in facts.binaries.items()
    ]


def _skopeo(facts: Facts) -> Feature:
    why = facts.skopeo or "not found: images cannot be pulled from a registry"
    return Feature("skopeo", bool(facts.skopeo), True, why, "apt-get install skopeo")


def _port(facts: Facts) -> Feature:
    name = f"address {facts.listen}"
    if facts.listen_state == "free":
        return Feature(name, True, True, "free")
    if facts.listen_state == "junctiond":
        return Feature(name, True, True, "junctiond runs and listens there")
    mend = (
        "stop what listens there, or choose another address: junctiond up --listen 127.0.0.1:8180"
    )
    return Feature(name, False, True, facts.listen_state, mend)


def _tun(facts: Facts) -> Feature:
    why = "/dev/net/tun is there" if facts.tun else "/dev/net/tun is missing"
    return Feature("tun devices", facts.tun, False, f"{why}; not used yet", "modprobe tun")


def _hugepages(facts: Facts) -> Feature:
    on = facts.hugepages_total > 0
    why = f"{facts.hugepages_total} pages of {facts.hugepage_kib} KiB" if on else "none reserved"
    mend = "sysctl -w vm.nr_hugepages=512, only needed once the DPDK port is there"
    return Feature("hugepages", on, False, f"{why}; not used yet", mend)


def _dpdk(facts: Facts) -> Feature:
    found = facts.dpdk_library or "librte_eal not found"
    why = f"{found}; not used yet: this version speaks kernel TCP at its front door"
    return Feature("DPDK", bool(facts.dpdk_library), False, why, "nothing to do for now")
