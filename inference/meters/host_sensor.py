"""Energy of the whole server from its board's power sensor (ACPI power_meter through hwmon), its power added up."""

from pathlib import Path

from inference.errors import HardwareAbsent, HardwareError
from inference.meters.integral import PowerIntegral
from inference.meters.protocols import Coverage, Domain, Sample, Scope
from inference.meters.sysfs import HostRoots, read_int, read_text
from inference.models.provenance import Origin

MEND = "run as root: some boards' sensors are root's alone"
NOTE = "the board's own power sensor, added up at the period of reading; peaks between two reads are not seen"
HOST_POWER_W_MAX = 30_000.0


class HostSensorMeter:
    """Energy of the server behind its power supply. Measured.

    Servers without this sensor may have one that only their management controller reads (IPMI, Redfish).

    Attributes:
        name: "host-sensor".
        coverage: one domain, "host".
    """

    def __init__(self, roots: HostRoots | None = None) -> None:
        """Find the sensor and read it once.

        Args:
            roots: where the kernel's file systems are.

        Raises:
            HardwareAbsent: there is none, or several of which nobody knows how they overlap.
            HardwareError: it does not answer.
        """
        self.name = "host-sensor"
        found = _sensors((roots or HostRoots()).sys / "class/hwmon")
        if len(found) != 1:
            raise HardwareAbsent(
                "hwmon",
                f"{len(found)} ACPI power meters, expected one",
                "ask the management controller",
            )
        self._file = found[0]
        domain = Domain(
            "host", Scope.HOST, Origin.MEASURED, power_w_max=HOST_POWER_W_MAX, note=NOTE
        )
        self.coverage = Coverage("hwmon", (domain,))
        self._integral = PowerIntegral()
        read_int(self._file, MEND)

    def read(self, now_ns: int) -> Sample:
        """See `Meter`."""
        power_uw = read_int(self._file, MEND)
        return Sample(now_ns, {"host": self._integral.add(power_uw // 1000, now_ns)})

    def close(self) -> None:
        """See `Meter`; it holds nothing."""


def _sensors(tree: Path) -> list[Path]:
    found = []
    for folder in sorted(tree.iterdir()) if tree.is_dir() else []:
        try:
            named = read_text(folder / "name", MEND)
        except HardwareError:
            continue
        if named == "power_meter":
            # Boards that average say so in one file, those that do not in the other.
            found += [
                file
                for file in (folder / "power1_average", folder / "power1_input")
                if file.exists()
            ][:1]
    return found
