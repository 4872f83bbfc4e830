"""CPU quota of a control group (version 1 or 2), as the knob that stands for the clock where there is no other."""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from inference.actuators.protocols import Limits, Unit
from inference.actuators.quota_clock import QuotaClock
from inference.errors import HardwareAbsent, HardwareError
from inference.meters.sysfs import read_int, read_text, write_text

MEND = "run as root, or have the control group delegated to this user"
NO_QUOTA = -1


class QuotaFiles(Protocol):
    """The quota of a control group, in the files of one version."""

    version: int

    def read(self) -> tuple[int, int]:
        """Quota and period in µs; a quota of -1 is none."""
        ...

    def write(self, quota_us: int) -> None:
        """Set the quota; the period stays."""
        ...


class QuotaFilesV1:
    """`cpu.cfs_quota_us` and `cpu.cfs_period_us`."""

    version = 1

    def __init__(self, folder: Path) -> None:
        self._quota = folder / "cpu.cfs_quota_us"
        self._period = folder / "cpu.cfs_period_us"

    def read(self) -> tuple[int, int]:
        """See `QuotaFiles`."""
        return max(read_int(self._quota, MEND), NO_QUOTA), read_int(self._period, MEND)

    def write(self, quota_us: int) -> None:
        """See `QuotaFiles`."""
        write_text(self._quota, str(quota_us), MEND)


class QuotaFilesV2:
    """`cpu.max`: "QUOTA PERIOD" or "max PERIOD"."""

    version = 2

    def __init__(self, folder: Path) -> None:
        self._file = folder / "cpu.max"

    def read(self) -> tuple[int, int]:
        """See `QuotaFiles`."""
        text = read_text(self._file, MEND)
        quota, _, period = text.partition(" ")
        if not period.isdecimal() or not (quota == "max" or quota.isdecimal()):
            raise HardwareError(
                str(self._file), f"holds {text!r}", "expected 'max' or a quota, and a period"
            )
        return NO_QUOTA if quota == "max" else int(quota), int(period)

    def write(self, quota_us: int) -> None:
        """See `QuotaFiles`."""
        _, period_us = self.read()
        quota = "max" if quota_us == NO_QUOTA else str(quota_us)
        write_text(self._file, f"{quota} {period_us}", MEND)


class CpuQuotaKnob:
    """Bounds the CPU time of all processes of one control group, told as a clock (see `inference.actuators.quota_clock`).

    Attributes:
        name, covers, limits, exact: see `Knob`.
        mapping: between quota and clock.
    """

    exact = True

    def __init__(self, folder: Path, reference_mhz: int, cpus: int) -> None:
        """Find the quota of a control group that exists.

        Args:
            folder: of the group, in the cpu hierarchy of version 1 or the one of version 2.
            reference_mhz: clock that the whole quota stands for; any figure, stated with results.
            cpus: CPUs that the replica in it has at that clock.

        Raises:
            HardwareAbsent: no such group, or it has no cpu controller.
            HardwareError: its files do not read as they should.
        """
        self._files = _files(folder)
        self._original_us, period_us = self._files.read()
        self.mapping = QuotaClock(reference_mhz, cpus, period_us)
        self.name = f"{folder.name}/cpu-quota"
        self.covers = f"control group {folder}, version {self._files.version}"
        self.limits = Limits(self.mapping.clock_mhz_min, reference_mhz, reference_mhz, Unit.MHZ)

    def read(self) -> int:
        """See `Knob`."""
        return self.mapping.clock_mhz(self._files.read()[0])

    def remark(self) -> str:
        """See `Knob`."""
        quota_us, period_us = self._files.read()
        if quota_us == NO_QUOTA:
            return "no quota"
        return f"{quota_us} µs of CPU time in {period_us} µs"

    def write(self, value: int) -> None:
        """See `Knob`."""
        self._files.write(self.mapping.quota_us(value))

    def restore(self) -> None:
        """See `Knob`. A group that is gone took its quota with it."""
        with suppress(HardwareAbsent):
            self._files.write(self._original_us)

    def release(self) -> None:
        """See `Knob`; it holds nothing."""


def _files(folder: Path) -> QuotaFiles:
    if (folder / "cpu.max").exists():
        return QuotaFilesV2(folder)
    if (folder / "cpu.cfs_quota_us").exists():
        return QuotaFilesV1(folder)
    if not folder.is_dir():
        raise HardwareAbsent(str(folder), "no such control group", "create it first")
    raise HardwareAbsent(
        str(folder),
        "has neither cpu.max nor cpu.cfs_quota_us",
        "name a group of the cpu hierarchy, and on version 2 write +cpu to cgroup.subtree_control above it",
    )
