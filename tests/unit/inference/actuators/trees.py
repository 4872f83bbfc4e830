"""cpufreq and control group files as they look on real machines, and the kernel's rules about writing them."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from inference.meters.sysfs import HostRoots


def write(folder: Path, files: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name).write_text(f"{value}\n")


def policy(cpu: Path, number: int, **files: object) -> Path:
    """A policy's folder and the CPU that links to it, as the kernel has them."""
    folder = cpu / f"cpufreq/policy{number}"
    write(folder, files)
    (cpu / f"cpu{number}").mkdir(parents=True, exist_ok=True)
    (cpu / f"cpu{number}/cpufreq").symlink_to(folder)
    return folder


def roots(tmp_path: Path) -> HostRoots:
    return HostRoots(tmp_path / "sys", tmp_path / "proc")


def intel_pstate(tmp_path: Path, cpus: int = 2, no_turbo: int = 0) -> HostRoots:
    """A Xeon in active mode: any clock between the ends, no list of them."""
    host = roots(tmp_path)
    cpu = host.sys / "devices/system/cpu"
    write(cpu / "intel_pstate", {"no_turbo": no_turbo, "status": "active", "max_perf_pct": 100})
    for number in range(cpus):
        policy(
            cpu,
            number,
            affected_cpus=number,
            base_frequency=2_000_000,
            cpuinfo_max_freq=3_200_000,
            cpuinfo_min_freq=800_000,
            scaling_available_governors="performance powersave",
            scaling_cur_freq=1_100_000,
            scaling_driver="intel_pstate",
            scaling_governor="powersave",
            scaling_max_freq=3_200_000,
            scaling_min_freq=800_000,
        )
    return host


def acpi_cpufreq(tmp_path: Path) -> HostRoots:
    """An EPYC: three clocks, two CPUs under one policy, a third that is offline, and a lower bound that somebody raised."""
    host = roots(tmp_path)
    cpu = host.sys / "devices/system/cpu"
    folder = policy(
        cpu,
        0,
        affected_cpus="0 1",
        bios_limit=2_450_000,
        cpuinfo_max_freq=2_450_000,
        cpuinfo_min_freq=1_500_000,
        scaling_available_frequencies="2450000 2000000 1500000 ",
        scaling_available_governors="conservative ondemand userspace powersave performance schedutil ",
        scaling_driver="acpi-cpufreq",
        scaling_governor="schedutil",
        scaling_max_freq=2_450_000,
        scaling_min_freq=2_000_000,
    )
    (cpu / "cpu1").mkdir()
    (cpu / "cpu1/cpufreq").symlink_to(folder)
    (cpu / "cpu2").mkdir()
    return host


def hybrid(tmp_path: Path) -> HostRoots:
    """A client CPU with a fast and a slow core."""
    host = intel_pstate(tmp_path, cpus=2)
    slow = host.sys / "devices/system/cpu/cpufreq/policy1"
    write(slow, {"cpuinfo_max_freq": 2_400_000, "scaling_max_freq": 2_400_000})
    return host


def strict_write(path: Path, text: str, mend: str) -> None:
    """Write as cpufreq takes it: the bounds of a policy never cross, and unknown governors are refused."""
    folder = path.parent
    low, high = (int((folder / f"scaling_{end}_freq").read_text()) for end in ("min", "max"))
    if path.name == "scaling_max_freq":
        assert int(text) >= low, f"{path}: {text} below the lower bound {low}"
    elif path.name == "scaling_min_freq":
        assert int(text) <= high, f"{path}: {text} above the upper bound {high}"
    elif path.name == "scaling_governor":
        assert text in (folder / "scaling_available_governors").read_text().split()
    else:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    path.write_text(f"{text}\n")


def cgroup_v1(tmp_path: Path, quota_us: int = -1) -> Path:
    folder = tmp_path / "sys/fs/cgroup/cpu/replica"
    write(folder, {"cpu.cfs_quota_us": quota_us, "cpu.cfs_period_us": 100_000, "cpu.shares": 1024})
    return folder


def cgroup_v2(tmp_path: Path, limit: str = "max 100000") -> Path:
    folder = tmp_path / "sys/fs/cgroup/replica"
    write(folder, {"cpu.max": limit, "cpu.weight": 100})
    return folder
