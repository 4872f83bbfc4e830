"""What this host can meter and set, for people to see before they trust a figure or turn a knob. Changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from inference.actuators.cpufreq import CpuClockKnob
from inference.actuators.power_limit import PowerLimitKnob
from inference.actuators.protocols import Knob
from inference.actuators.sm_clock import SmClockKnob
from inference.errors import HardwareAbsent, HardwareError
from inference.meters.gpu import GpuMeter
from inference.meters.host_sensor import HostSensorMeter
from inference.meters.nvml import Nvml, Session
from inference.meters.protocols import Meter
from inference.meters.rapl import RaplMeter
from inference.meters.sysfs import HostRoots, read_text
from inference.models.provenance import Origin

NS_PER_S = 1_000_000_000


class Kind(StrEnum):
    """What was looked for."""

    METER = "meter"
    ACTUATOR = "actuator"


@dataclass(frozen=True, slots=True)
class Finding:
    """One meter domain or one knob, there or not.

    Attributes:
        kind: meter or actuator.
        name: "rapl package-0", "gpu-0/sm-clock".
        covers: the scope of a meter, or on what an actuator acts.
        origin: whether a meter measures or models; None for an actuator and for what is not there.
        available: whether it can be used by this process.
        detail: a meter's caveats and longest period of reading; an actuator's range; or why it is not there, and the mend.
    """

    kind: Kind
    name: str
    covers: str
    origin: Origin | None
    available: bool
    detail: str


def discover(roots: HostRoots | None = None, nvml: Nvml | None = None) -> tuple[Finding, ...]:
    """Look for every meter and actuator that we know; meters first. Never raises for hardware that is missing.

    Whether an actuator may be *set* shows only when it is: the kernel tells no sooner.

    Args:
        roots: where the kernel's file systems are.
        nvml: instead of NVIDIA's binding.
    """
    roots = roots or HostRoots()
    return (
        *_meters("rapl", "package, dram", lambda: RaplMeter(roots)),
        *_meters("nvml", "gpu", lambda: GpuMeter(nvml)),
        *_meters("host-sensor", "host", lambda: HostSensorMeter(roots)),
        _model(roots),
        *_gpu_knobs(nvml),
        _knob("cpu/clock", "all CPUs", lambda: CpuClockKnob(roots=roots)),
        _quota(roots),
    )


def _meters(name: str, covers: str, make: Callable[[], Meter]) -> Iterator[Finding]:
    try:
        meter = make()
    except HardwareError as error:
        yield Finding(Kind.METER, name, covers, None, False, str(error))
        return
    for domain in meter.coverage.domains:
        notes = [domain.note] if domain.note else []
        if domain.inside:
            notes.append(f"included in {domain.inside}")
        if domain.period_ns_max:
            notes.append(f"read at least every {domain.period_ns_max // NS_PER_S} s")
        yield Finding(
            Kind.METER, f"{name} {domain.name}", domain.scope, domain.origin, True, "; ".join(notes)
        )
    meter.close()


def _model(roots: HostRoots) -> Finding:
    """The modelled CPU meter works wherever /proc/stat does, once somebody states a curve."""
    try:
        read_text(roots.proc / "stat", "mount /proc")
    except HardwareError as error:
        return Finding(Kind.METER, "cpu-model", "package", None, False, str(error))
    detail = "utilisation times a power curve that you state; for machines without RAPL"
    return Finding(Kind.METER, "cpu-model", "package", Origin.MODELLED, True, detail)


def _gpu_knobs(nvml: Nvml | None) -> Iterator[Finding]:
    try:
        session = Session(nvml)
    except HardwareError as error:
        yield Finding(Kind.ACTUATOR, "gpu/*", "each GPU", None, False, str(error))
        return
    for device in session.devices:
        yield _knob(
            f"{device.label}/sm-clock",
            device.name,
            partial(SmClockKnob, device.index, nvml=nvml),
        )
        yield _knob(
            f"{device.label}/power-limit",
            device.name,
            partial(PowerLimitKnob, device.index, nvml=nvml),
        )
    session.close()


def _knob(name: str, covers: str, make: Callable[[], Knob]) -> Finding:
    try:
        knob = make()
    except HardwareError as error:
        return Finding(Kind.ACTUATOR, name, covers, None, False, str(error))
    try:
        limits = knob.limits
        detail = f"{limits.minimum} to {limits.maximum} {limits.unit}, now {knob.read()}"
        remark = knob.remark()
        detail = f"{detail}; {remark}" if remark else detail
        return Finding(Kind.ACTUATOR, knob.name, knob.covers, None, True, detail)
    except HardwareError as error:
        return Finding(Kind.ACTUATOR, name, covers, None, False, str(error))
    finally:
        knob.release()


def _quota(roots: HostRoots) -> Finding:
    """Whether the cpu controller is there; a quota's range is that of each control group's mapping."""
    tree = roots.sys / "fs/cgroup"
    try:
        version, folder = _controller(tree)
    except HardwareError as error:
        return Finding(Kind.ACTUATOR, "cpu-quota", "a control group", None, False, str(error))
    detail = "CPU time as a fraction of a stated reference clock"
    covers = f"control groups under {folder}, version {version}"
    return Finding(Kind.ACTUATOR, "cpu-quota", covers, None, True, detail)


def _controller(tree: Path) -> tuple[int, Path]:
    if (tree / "cgroup.controllers").exists():
        offered = read_text(tree / "cgroup.controllers", "mount the cgroup file system").split()
        if "cpu" in offered:
            return 2, tree
    for folder in (tree / "cpu", tree / "cpu,cpuacct"):
        if (folder / "cpu.shares").exists():
            return 1, folder
    raise HardwareAbsent(
        str(tree), "no cpu controller", "mount cgroup version 2, or the cpu hierarchy of version 1"
    )
