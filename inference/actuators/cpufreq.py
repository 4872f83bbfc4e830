"""The clock of this host's CPUs, by the kernel's cpufreq.

/sys/devices/system/cpu/cpu*/cpufreq/     one folder per policy, which several CPUs may share
    scaling_max_freq, scaling_min_freq    bounds that we set (kHz)
    cpuinfo_max_freq, cpuinfo_min_freq    what the hardware has
    scaling_available_frequencies         the clocks there are (acpi-cpufreq); intel_pstate has any
    scaling_governor                      who chooses between the bounds
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inference.actuators.protocols import Limits, Unit
from inference.errors import HardwareAbsent, HardwareError, HardwareRefused
from inference.meters.sysfs import HostRoots, read_int, read_text, write_text

MEND = "run as root; in a container /sys must be writable"
CPU = re.compile(r"cpu(\d+)")


@dataclass(frozen=True, slots=True)
class Policy:
    """CPUs that share a clock, as found.

    Attributes:
        folder: its files.
        low_khz, high_khz: what the hardware has.
        clocks_khz: the clocks there are, rising; empty for any between.
        min_khz, max_khz, governor: what was set when it was found.
    """

    folder: Path
    low_khz: int
    high_khz: int
    clocks_khz: tuple[int, ...]
    min_khz: int
    max_khz: int
    governor: str

    def fitting(self, bound_mhz: int) -> int:
        """The highest clock in kHz that these CPUs have at or below a bound; their lowest where all are above.

        Compared in whole MHz, for some drivers tell clocks with kHz to spare.
        """
        if self.clocks_khz:
            below = [clock for clock in self.clocks_khz if clock // 1000 <= bound_mhz]
            return max(below, default=self.low_khz)
        if bound_mhz >= self.high_khz // 1000:
            return self.high_khz
        return max(bound_mhz * 1000, self.low_khz)


class CpuClockKnob:
    """Bounds the clock of all CPUs of this host from above.

    The governor chooses below the bound: under load they all go up to it. On hybrid CPUs each kind takes the bound as far
    as its own range goes.

    Attributes:
        name, covers, limits, exact: see `Knob`. `read` is the highest bound in force, not the clock of the moment.
    """

    exact = True

    def __init__(self, governor: str = "", roots: HostRoots | None = None) -> None:
        """Find the policies and what they were set to.

        Args:
            governor: to set with the first bound ("performance", "schedutil"); empty leaves it.
            roots: where the kernel's file systems are.

        Raises:
            HardwareAbsent: no cpufreq here, as in most virtual machines.
            HardwareRefused: there is no such governor.
            HardwareError: the files do not read as they should.
        """
        self._cpu = (roots or HostRoots()).sys / "devices/system/cpu"
        self._policies = [_policy(folder) for folder in _folders(self._cpu)]
        self._governor = governor
        if not self._policies:
            raise HardwareAbsent(
                str(self._cpu / "cpu0/cpufreq"),
                "no cpufreq",
                "in a virtual machine the host sets the clock; use a CPU quota (CpuQuotaKnob)",
            )
        for policy in self._policies if governor else ():
            offered = read_text(policy.folder / "scaling_available_governors", MEND).split()
            if governor not in offered:
                raise HardwareRefused(
                    str(policy.folder),
                    f"no governor {governor!r}",
                    f"there are {', '.join(offered)}",
                )
        self.driver = read_text(self._policies[0].folder / "scaling_driver", MEND)
        self.name = "cpu/clock"
        self.covers = f"all CPUs, {len(self._policies)} policies of {self.driver}"
        self.limits = _limits(self._policies)

    def read(self) -> int:
        """See `Knob`."""
        return max(
            read_int(policy.folder / "scaling_max_freq", MEND) // 1000 for policy in self._policies
        )

    def remark(self) -> str:
        """See `Knob`: turbo that is off, or a bound of the firmware's."""
        remarks = []
        with suppress(HardwareError):
            if read_int(self._cpu / "intel_pstate/no_turbo", MEND):
                base_khz = read_int(self._policies[0].folder / "base_frequency", MEND)
                remarks.append(f"turbo is off: at most {base_khz // 1000} MHz")
        with suppress(HardwareError):
            bound_khz = min(read_int(p.folder / "bios_limit", MEND) for p in self._policies)
            if bound_khz < max(policy.high_khz for policy in self._policies):
                remarks.append(f"the firmware allows {bound_khz // 1000} MHz")
        return ", ".join(remarks)

    def write(self, value: int) -> None:
        """See `Knob`. Where one policy fails, those before it go back to what they had."""
        before = [
            (policy, read_int(policy.folder / "scaling_max_freq", MEND))
            for policy in self._policies
        ]
        done: list[tuple[Policy, int]] = []
        try:
            for policy, bound_khz in before:
                done.append((policy, bound_khz))
                self._govern(policy, self._governor)
                _bound(policy, policy.fitting(value))
        except HardwareError:
            for policy, bound_khz in done:
                with suppress(HardwareError):
                    _bound(policy, bound_khz)
            raise

    def restore(self) -> None:
        """See `Knob`. All policies are tried, and the first failure is raised at the end."""
        failure: HardwareError | None = None
        for policy in self._policies:
            try:
                # The upper bound first: the kernel refuses a lower one above it.
                write_text(policy.folder / "scaling_max_freq", str(policy.max_khz), MEND)
                write_text(policy.folder / "scaling_min_freq", str(policy.min_khz), MEND)
                self._govern(policy, policy.governor if self._governor else "")
            except HardwareError as error:
                failure = failure or error
        if failure:
            raise failure

    def release(self) -> None:
        """See `Knob`; it holds nothing."""

    def _govern(self, policy: Policy, governor: str) -> None:
        file = policy.folder / "scaling_governor"
        if governor and read_text(file, MEND) != governor:
            write_text(file, governor, MEND)


def _bound(policy: Policy, bound_khz: int) -> None:
    """Set the upper bound, and move a lower one out of its way, back up to what it was at most."""
    low = policy.folder / "scaling_min_freq"
    low_khz = min(policy.min_khz, bound_khz)
    if read_int(low, MEND) > bound_khz:
        write_text(low, str(low_khz), MEND)
    write_text(policy.folder / "scaling_max_freq", str(bound_khz), MEND)
    if read_int(low, MEND) != low_khz:
        write_text(low, str(low_khz), MEND)


def _folders(cpu: Path) -> list[Path]:
    """One folder of each policy: CPUs that share one have links to it."""
    numbered = sorted(
        (int(match[1]), folder)
        for folder in (cpu.iterdir() if cpu.is_dir() else ())
        if (match := CPU.fullmatch(folder.name))
    )
    found: dict[Path, Path] = {}
    for _, folder in numbered:
        # A CPU that is offline has the folder without files, or none.
        if (folder / "cpufreq/scaling_max_freq").exists():
            found.setdefault((folder / "cpufreq").resolve(), folder / "cpufreq")
    return list(found.values())


def _policy(folder: Path) -> Policy:
    clocks: tuple[int, ...] = ()
    with suppress(HardwareAbsent):
        listed = read_text(folder / "scaling_available_frequencies", MEND).split()
        if not all(one.isdecimal() for one in listed):
            raise HardwareError(
                str(folder / "scaling_available_frequencies"),
                f"holds {' '.join(listed)!r}",
                "expected integers of kHz",
            )
        clocks = tuple(sorted(int(one) for one in listed))
    return Policy(
        folder=folder,
        low_khz=read_int(folder / "cpuinfo_min_freq", MEND),
        high_khz=read_int(folder / "cpuinfo_max_freq", MEND),
        clocks_khz=clocks,
        min_khz=read_int(folder / "scaling_min_freq", MEND),
        max_khz=read_int(folder / "scaling_max_freq", MEND),
        governor=read_text(folder / "scaling_governor", MEND),
    )


def _limits(policies: list[Policy]) -> Limits:
    """Of all policies together: from the lowest clock to the highest; steps where every policy has them."""
    steps: set[int] = set()
    if all(policy.clocks_khz for policy in policies):
        steps = {clock // 1000 for policy in policies for clock in policy.clocks_khz}
    low = min(policy.low_khz for policy in policies) // 1000
    high = max(policy.high_khz for policy in policies) // 1000
    rising = tuple(sorted(steps))
    return Limits(
        rising[0] if rising else low, rising[-1] if rising else high, high, Unit.MHZ, rising
    )
