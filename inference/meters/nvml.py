"""The part of NVML that meters and actuators use, its start and end, and what its refusals mean.

NVML is reached through NVIDIA's own binding (`pynvml` of nvidia-ml-py), a module of functions. `Nvml` lists those that we
call, so that a fake can stand in their place (`inference.meters.simulated_gpu`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import pynvml

from inference.errors import HardwareAbsent, HardwareDenied, HardwareError, HardwareRefused

T = TypeVar("T")
Handle = Any
CLOCK_SM: int = pynvml.NVML_CLOCK_SM

_ABSENT = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "install the NVIDIA driver, or map libnvidia-ml.so.1 into the container",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "load the NVIDIA driver (nvidia-smi shows whether it is)",
    pynvml.NVML_ERROR_NOT_SUPPORTED: "this GPU or its driver does not have it; do without",
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "update the NVIDIA driver: it is too old for this function",
    pynvml.NVML_ERROR_NOT_FOUND: "nvidia-smi lists the GPUs that there are",
}
_BROKEN = {
    pynvml.NVML_ERROR_GPU_IS_LOST: "the GPU fell off its bus: reset it or restart the host",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "driver and library differ: restart after the update",
}
_REFUSED = {
    pynvml.NVML_ERROR_INVALID_ARGUMENT: "ask for a value within the GPU's limits",
    pynvml.NVML_ERROR_FREQ_NOT_SUPPORTED: "ask for a supported clock (nvidia-smi -q -d SUPPORTED_CLOCKS)",
    pynvml.NVML_ERROR_IN_USE: "another tool holds it (DCGM, another nvidia-smi); stop that first",
}


class Nvml(Protocol):
    """What we call of pynvml, with its names. Energy in mJ, power in mW, clocks in MHz."""

    def nvmlInit(self) -> None: ...  # noqa: N802, D102
    def nvmlShutdown(self) -> None: ...  # noqa: N802, D102
    def nvmlSystemGetDriverVersion(self) -> str: ...  # noqa: N802, D102
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Handle: ...  # noqa: N802, D102
    def nvmlDeviceGetName(self, handle: Handle) -> str: ...  # noqa: N802, D102
    def nvmlDeviceGetUUID(self, handle: Handle) -> str: ...  # noqa: N802, D102
    def nvmlDeviceGetMigMode(self, device: Handle) -> list[int]: ...  # noqa: N802, D102
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Handle) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetPowerUsage(self, handle: Handle) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetPowerManagementLimit(self, handle: Handle) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetPowerManagementLimitConstraints(self, handle: Handle) -> list[int]: ...  # noqa: N802, D102
    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: Handle) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Handle) -> int: ...  # noqa: N802, D102
    def nvmlDeviceSetPowerManagementLimit(self, handle: Handle, limit: int) -> None: ...  # noqa: N802, D102
    def nvmlDeviceGetSupportedMemoryClocks(self, handle: Handle) -> list[int]: ...  # noqa: N802, D102
    def nvmlDeviceGetSupportedGraphicsClocks(  # noqa: N802, D102
        self,
        handle: Handle,
        memoryClockMHz: int,  # noqa: N803
    ) -> list[int]: ...
    def nvmlDeviceGetClockInfo(self, handle: Handle, type: int) -> int: ...  # noqa: N802, D102
    def nvmlDeviceSetGpuLockedClocks(  # noqa: N802, D102
        self,
        handle: Handle,
        minGpuClockMHz: int,  # noqa: N803
        maxGpuClockMHz: int,  # noqa: N803
    ) -> None: ...
    def nvmlDeviceResetGpuLockedClocks(self, handle: Handle) -> None: ...  # noqa: N802, D102
    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Handle) -> int: ...  # noqa: N802, D102


def driver() -> Nvml:
    """NVIDIA's binding itself."""
    return cast(Nvml, pynvml)


def call(device: str, function: Callable[..., T], *arguments: object) -> T:
    """Call NVML and translate what it refuses.

    Args:
        device: whom the message is to name.
        function: of `Nvml`.
        arguments: for it.

    Raises:
        HardwareAbsent: no driver, no such GPU, or the GPU cannot do it.
        HardwareDenied: the driver lets only root do this.
        HardwareRefused: the value does not suit the GPU.
        HardwareError: anything else.
    """
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        code, problem = error.value, f"{function.__name__}: {error}"
    if code == pynvml.NVML_ERROR_NO_PERMISSION:
        raise HardwareDenied(device, problem, "run as root, or with CAP_SYS_ADMIN in the container")
    if code in _ABSENT:
        raise HardwareAbsent(device, problem, _ABSENT[code])
    if code in _REFUSED:
        raise HardwareRefused(device, problem, _REFUSED[code])
    mend = _BROKEN.get(code, "see the driver's log (dmesg, nvidia-smi -q)")
    raise HardwareError(device, problem, mend)


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU of this host.

    Attributes:
        index: of NVML, in bus order; not that of CUDA_VISIBLE_DEVICES.
        name, uuid: as the driver says.
        handle: for NVML's functions.
        mig: whether it is split into MIG instances.
    """

    index: int
    name: str
    uuid: str
    handle: Handle
    mig: bool

    @property
    def label(self) -> str:
        """As our domains and actuators are named."""
        return f"gpu-{self.index}"


class Session:
    """NVML, started. Its users share one reference count with all others of the process, so each closes its own."""

    def __init__(self, nvml: Nvml | None = None) -> None:
        """Start NVML.

        Raises:
            HardwareAbsent: no driver or no GPU.
        """
        self.nvml = nvml or driver()
        self._open = False
        call("NVML", self.nvml.nvmlInit)
        self._open = True
        try:
            self.devices = self._devices()
        except HardwareError:
            self.close()
            raise

    def device(self, index: int) -> Device:
        """The GPU of an index.

        Raises:
            HardwareAbsent: there are not so many.
        """
        if not 0 <= index < len(self.devices):
            raise HardwareAbsent(
                f"gpu-{index}", f"NVML knows {len(self.devices)} GPUs", "nvidia-smi lists them"
            )
        return self.devices[index]

    def close(self) -> None:
        """Give the reference back; closing twice does nothing."""
        if self._open:
            self._open = False
            call("NVML", self.nvml.nvmlShutdown)

    def _devices(self) -> tuple[Device, ...]:
        count = call("NVML", self.nvml.nvmlDeviceGetCount)
        if not count:
            raise HardwareAbsent("NVML", "the driver knows no GPU", "map GPUs into the container")
        return tuple(self._device(index) for index in range(count))

    def _device(self, index: int) -> Device:
        label, nvml = f"gpu-{index}", self.nvml
        handle = call(label, nvml.nvmlDeviceGetHandleByIndex, index)
        try:
            mig = call(label, nvml.nvmlDeviceGetMigMode, handle)[0] == 1
        except (HardwareAbsent, HardwareRefused):
            mig = False  # a GPU that cannot be split says that it has no such mode
        name = call(label, nvml.nvmlDeviceGetName, handle)
        return Device(index, name, call(label, nvml.nvmlDeviceGetUUID, handle), handle, mig)
