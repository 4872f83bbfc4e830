"""Trees of the kernel's files as they look on real machines, made under a folder of the test's own."""

from collections.abc import Mapping
from pathlib import Path

from inference.meters.sysfs import HostRoots

INTEL_UJ = 262_143_328_850
DRAM_UJ = 65_712_999_613
AMD_UJ = 65_532_610_987

INTEL_CPUINFO = (
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Gold 6338\n"
)
AMD_CPUINFO = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7763\n"

STAT = (
    "cpu  {user} 10 100 {idle} 20 0 5 {steal} 0 0\n"
    "cpu0 1 2 3 4 5 6 7 8 9 10\nintr 1 2 3\nctxt 1\nbtime 1\n"
)


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")


def roots(tmp_path: Path) -> HostRoots:
    for name in ("sys", "proc"):
        (tmp_path / name).mkdir(exist_ok=True)
    return HostRoots(tmp_path / "sys", tmp_path / "proc")


def zone(host: HostRoots, folder: str, label: str, wraps_at_uj: int, energy_uj: int) -> Path:
    place = host.sys / "class/powercap" / folder
    write(
        place,
        {
            "name": label,
            "energy_uj": str(energy_uj),
            "max_energy_range_uj": str(wraps_at_uj),
            "enabled": "0",
        },
    )
    return place / "energy_uj"


def intel_two_packages(tmp_path: Path) -> HostRoots:
    """A two-socket Xeon: package and DRAM each, the packages once more through MMIO, and the control type's folder."""
    host = roots(tmp_path)
    write(host.proc, {"cpuinfo": INTEL_CPUINFO})
    write(host.sys / "class/powercap/intel-rapl", {"enabled": "1"})
    for package in (0, 1):
        zone(host, f"intel-rapl:{package}", f"package-{package}", INTEL_UJ, 1_000_000)
        zone(host, f"intel-rapl:{package}:0", "dram", DRAM_UJ, 2_000_000)
        zone(host, f"intel-rapl-mmio:{package}", f"package-{package}", INTEL_UJ, 1_000_000)
    return host


def intel_client(tmp_path: Path) -> HostRoots:
    """A laptop: a package with cores and graphics, and the platform around it."""
    host = roots(tmp_path)
    write(host.proc, {"cpuinfo": INTEL_CPUINFO})
    zone(host, "intel-rapl:0", "package-0", INTEL_UJ, 0)
    zone(host, "intel-rapl:0:0", "core", INTEL_UJ, 0)
    zone(host, "intel-rapl:0:1", "uncore", INTEL_UJ, 0)
    zone(host, "intel-rapl:1", "psys", INTEL_UJ, 0)
    return host


def amd(tmp_path: Path) -> HostRoots:
    """An EPYC: the same names, a fourth of the range, and a "core" that is one core's register."""
    host = roots(tmp_path)
    write(host.proc, {"cpuinfo": AMD_CPUINFO})
    zone(host, "intel-rapl:0", "package-0", AMD_UJ, 65_532_000_000)
    zone(host, "intel-rapl:0:0", "core", AMD_UJ, 0)
    return host


def virtual_machine(tmp_path: Path) -> HostRoots:
    """No powercap, no cpufreq, no hwmon; time counts."""
    host = roots(tmp_path)
    write(host.proc, {"cpuinfo": AMD_CPUINFO, "stat": STAT.format(user=0, idle=0, steal=0)})
    return host


def stat(host: HostRoots, user: int, idle: int, steal: int = 0) -> None:
    write(host.proc, {"stat": STAT.format(user=user, idle=idle, steal=steal)})


def power_meter(host: HostRoots, power_uw: int, number: int = 2, averages: bool = True) -> Path:
    """An ACPI power meter among the other sensors."""
    folder = host.sys / f"class/hwmon/hwmon{number}"
    write(host.sys / "class/hwmon/hwmon0", {"name": "coretemp", "temp1_input": "43000"})
    reading = "power1_average" if averages else "power1_input"
    write(folder, {"name": "power_meter", reading: str(power_uw)})
    return folder / reading
