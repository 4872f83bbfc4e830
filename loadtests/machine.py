"""Facts about the machine and the tree that was measured, and how disturbed the machine was meanwhile."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

REPOSITORY = Path(__file__).parent.parent


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and under which conditions a figure was measured.

    Attributes:
        generators: what made the load.
        steal_share: CPU time that the hypervisor gave to others during the run, of all CPU time.
        idle_share: CPU time nobody wanted during the run, of all CPU time.
        load_1m: load average at the start: other work on the machine.
    """

    cpu: str
    cores: int
    memory_mib: int
    kernel: str
    os: str
    cgroup: str
    generators: str
    steal_share: float
    idle_share: float
    load_1m: float


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """The first line of /proc/stat in clock ticks (proc(5)); guest time is part of user time."""

    busy: int
    idle: int
    steal: int

    @classmethod
    def parse(cls, stat: str) -> "CpuTimes":
        """Reads the text of /proc/stat."""
        fields = [int(field) for field in stat.splitlines()[0].split()[1:9]]
        user, nice, system, idle, iowait, irq, softirq, steal = fields
        return cls(user + nice + system + irq + softirq, idle + iowait, steal)

    @classmethod
    def now(cls) -> "CpuTimes":
        """Reads the counters of this machine."""
        return cls.parse(Path("/proc/stat").read_text())

    def shares_since(self, earlier: "CpuTimes") -> tuple[float, float]:
        """Steal and idle share of the CPU time between two readings; zeros where none passed."""
        steal, idle = self.steal - earlier.steal, self.idle - earlier.idle
        total = self.busy - earlier.busy + idle + steal
        return (steal / total, idle / total) if total > 0 else (0.0, 0.0)


def describe(generators: str, before: CpuTimes, load_1m: float) -> Machine:
    """The facts at the end of a run that began with `before`."""
    steal_share, idle_share = CpuTimes.now().shares_since(before)
    return Machine(
        cpu=_cpu_model(Path("/proc/cpuinfo").read_text()),
        cores=len(os.sched_getaffinity(0)),
        memory_mib=meminfo_kib("MemTotal") // 1024,
        kernel=platform.release(),
        os=platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        cgroup="v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1",
        generators=generators,
        steal_share=round(steal_share, 4),
        idle_share=round(idle_share, 4),
        load_1m=round(load_1m, 2),
    )


def meminfo_kib(field: str) -> int:
    """A line of /proc/meminfo, in KiB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise KeyError(f"/proc/meminfo has no {field}")


def commit() -> str:
    """The commit of the measured tree, with "+dirty" where files differ; "unknown" outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    head = _git(git, "rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    # Results are written by the measurement itself and do not make the measured tree another one.
    changes = _git(git, "status", "--porcelain", "--", ".", ":(exclude)loadtests/results")
    return f"{head}+dirty" if changes else head


def _git(git: str, *arguments: str) -> str:
    finished = subprocess.run(
        [git, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return finished.stdout.strip() if finished.returncode == 0 else ""


def _cpu_model(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
