"""RAPL: energy of CPU packages and their memory, from the kernel's powercap tree.

    /sys/class/powercap/intel-rapl:0          a package ("package-0"; "package-0-die-1" where dies count apart), or "psys"
    /sys/class/powercap/intel-rapl:0:0        a part of it: "core", "uncore", "dram"

AMD's packages stand in the same tree under the same names. `intel-rapl-mmio:*` are the packages once more through another
door, and are left out. `psys` covers the whole platform with the packages in it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from inference.errors import HardwareAbsent, HardwareError
from inference.meters.protocols import Coverage, Domain, Sample, Scope
from inference.meters.sysfs import HostRoots, read_int, read_text
from inference.models.provenance import Origin

MEND = (
    "since Linux 5.10 only root may read RAPL: run as root, or grant it with"
    " `chmod a+r` on that file at boot (udev or tmpfiles.d);"
    " a container must have /sys/devices/virtual/powercap unmasked"
)
PACKAGE_POWER_W_MAX = 1000.0
"""Twice the TDP of the largest sockets (500 W); a wrap that needs more was a reset."""
PLATFORM_POWER_W_MAX = 10_000.0
ZONE = re.compile(r"intel-rapl:(\d+)(?::(\d+))?")
SCOPES = {"core": Scope.CORE, "uncore": Scope.UNCORE, "dram": Scope.DRAM}


@dataclass(frozen=True, slots=True)
class Zone:
    """A folder of the powercap tree, as read.

    Attributes:
        folder: its own name ("intel-rapl:0:1").
        label: content of its `name`.
        wraps_at_uj: content of its `max_energy_range_uj`.
    """

    folder: str
    label: str
    wraps_at_uj: int


def rapl_domains(zones: list[Zone], amd: bool) -> dict[str, Domain]:
    """What the zones cover, by folder name; those that would mislead are left out.

    On AMD the zone "core" reads the register of a single core of the package, so it is not the cores' energy. Zones of
    unknown name are left out too: nobody knows what they include.
    """
    labels = {zone.folder: zone.label for zone in zones}
    psys = next((zone.label for zone in zones if zone.label == "psys"), "")
    found: dict[str, Domain] = {}
    for zone in zones:
        parent = labels.get(zone.folder.rpartition(":")[0], "")
        if zone.label == "psys":
            scope, name, inside = Scope.PLATFORM, "psys", ""
        elif zone.label.startswith("package"):
            scope, name, inside = Scope.PACKAGE, zone.label, psys
        elif zone.label in SCOPES and parent and not (amd and zone.label == "core"):
            scope, name = SCOPES[zone.label], f"{parent}/{zone.label}"
            # Memory is counted beside its package, though powercap shows it as a part.
            inside = psys if scope is Scope.DRAM else parent
        else:
            continue
        platform = scope is Scope.PLATFORM
        found[zone.folder] = Domain(
            name=name,
            scope=scope,
            origin=Origin.MEASURED,
            inside=inside,
            wraps_at_uj=zone.wraps_at_uj,
            power_w_max=PLATFORM_POWER_W_MAX if platform else PACKAGE_POWER_W_MAX,
            note="how much of the board it covers is up to its maker" if platform else "",
        )
    return found


class RaplMeter:
    """Energy of the packages of this host. Measured.

    Attributes:
        name: "rapl".
        coverage: packages and their parts.
    """

    def __init__(self, roots: HostRoots | None = None) -> None:
        """Find the zones, and read each once.

        Args:
            roots: where the kernel's file systems are.

        Raises:
            HardwareAbsent: no RAPL here: a virtual machine, another architecture, or the module is not loaded.
            HardwareDenied: no right to read the counters.
        """
        roots = roots or HostRoots()
        self.name = "rapl"
        tree = roots.sys / "class/powercap"
        found = rapl_domains(_zones(tree), _is_amd(roots.proc))
        if not found:
            raise HardwareAbsent(
                str(tree),
                "no intel-rapl zones",
                "load intel_rapl_msr, or in a virtual machine state a power curve instead (CpuModelMeter)",
            )
        self._files = {domain.name: tree / folder / "energy_uj" for folder, domain in found.items()}
        self.coverage = Coverage("powercap", tuple(found.values()))
        for file in self._files.values():
            read_int(file, MEND)

    def read(self, now_ns: int) -> Sample:
        """See `Meter`."""
        energy_uj: dict[str, int] = {}
        failed: dict[str, str] = {}
        error: HardwareError | None = None
        for name, file in self._files.items():
            try:
                energy_uj[name] = read_int(file, MEND)
            except HardwareError as caught:
                failed[name] = str(caught)
                error = caught
        if error and not energy_uj:
            raise error
        return Sample(now_ns, energy_uj, failed)

    def close(self) -> None:
        """See `Meter`; it holds nothing."""


def _zones(tree: Path) -> list[Zone]:
    folders = sorted(tree.iterdir()) if tree.is_dir() else []
    return [
        Zone(
            folder.name,
            read_text(folder / "name", MEND),
            read_int(folder / "max_energy_range_uj", MEND),
        )
        for folder in folders
        if ZONE.fullmatch(folder.name)
    ]


def _is_amd(proc: Path) -> bool:
    try:
        text = read_text(proc / "cpuinfo", "")
    except HardwareError:
        return False
    return (
        re.search(r"^vendor_id\s*:\s*(AuthenticAMD|HygonGenuine)", text, re.MULTILINE) is not None
    )
