"""Everything that this host can meter, as one meter."""

from inference.errors import HardwareAbsent, HardwareError
from inference.meters.composite import CompositeMeter
from inference.meters.cpu_model import CpuModelMeter, PowerCurve
from inference.meters.gpu import GpuMeter
from inference.meters.host_sensor import HostSensorMeter
from inference.meters.nvml import Nvml
from inference.meters.protocols import Meter
from inference.meters.rapl import RaplMeter
from inference.meters.sysfs import HostRoots


def host_meter(
    curve: PowerCurve | None = None, roots: HostRoots | None = None, nvml: Nvml | None = None
) -> Meter:
    """Packages (measured, or modelled where a curve is stated), GPUs and the host's sensor, as far as there are.

    CPU time is never turned into joules unasked: without RAPL and without a curve, packages are not covered. A counter
    that is there but denied is an error, for a model in its place would hide the mend.

    Args:
        curve: for machines without RAPL; unused where there is RAPL.
        roots: where the kernel's file systems are.
        nvml: instead of NVIDIA's binding.

    Raises:
        HardwareAbsent: there is nothing to meter.
        HardwareError: a counter is there but does not read; its message names the mend.
    """
    meters: list[Meter] = []
    missing: list[HardwareAbsent] = []
    try:
        for make in (
            lambda: RaplMeter(roots),
            lambda: GpuMeter(nvml),
            lambda: HostSensorMeter(roots),
        ):
            try:
                meters.append(make())
            except HardwareAbsent as error:
                missing.append(error)
        if curve and not any(isinstance(meter, RaplMeter) for meter in meters):
            meters.append(CpuModelMeter(curve, roots))
    except HardwareError:
        for meter in meters:
            meter.close()
        raise
    if not meters:
        raise HardwareAbsent(
            "this host", "; ".join(f"{e.device}: {e.problem}" for e in missing), missing[0].mend
        )
    return meters[0] if len(meters) == 1 else CompositeMeter(meters)
