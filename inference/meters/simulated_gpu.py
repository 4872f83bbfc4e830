"""A stand-in for NVML: GPUs that exist only here, with NVML's functions, units and refusals.

For tests, and to try the live gateway's controls on a machine without a GPU. Its power is a plain made-up line over
clock and load; nothing that it says is a measurement or a model of a real GPU. Its time moves by `advance` alone.
"""

from dataclasses import dataclass

import pynvml

MEMORY_CLOCK_MHZ = 2619
IDLE_MEMORY_CLOCK_MHZ = 405
IDLE_CLOCK_MHZ_MAX = 345
"""Highest SM clock where the memory idles."""


@dataclass(slots=True)
class SimulatedGpu:
    """One GPU. Defaults have the ranges of an H100.

    Attributes:
        name, uuid: as NVML says.
        clock_mhz_min, clock_mhz_max, clock_mhz_step: supported SM clocks.
        limit_mw_min, limit_mw_max, limit_mw_default: constraints of its power limit.
        idle_mw: power at no load.
        load: 0 to 1.
        has_counter, has_sensor: whether it counts energy (Volta and later do), and tells its power.
        has_mig, mig: whether it can be, and is, split.
        lost: whether it fell off the bus.
        locked_mhz: (min, max) of a clock lock.
        limit_mw: power limit in force.
        energy_pj: since the driver was loaded.
    """

    name: str = "Simulated GPU"
    uuid: str = "GPU-00000000-0000-0000-0000-000000000000"
    clock_mhz_min: int = 210
    clock_mhz_max: int = 1980
    clock_mhz_step: int = 15
    limit_mw_min: int = 200_000
    limit_mw_max: int = 700_000
    limit_mw_default: int = 700_000
    idle_mw: int = 70_000
    load: float = 0.0
    has_counter: bool = True
    has_sensor: bool = True
    has_mig: bool = True
    mig: bool = False
    lost: bool = False
    locked_mhz: tuple[int, int] | None = None
    limit_mw: int = 700_000
    energy_pj: int = 0

    @property
    def wanted_mhz(self) -> int:
        """The clock before its power limit bears on it."""
        low, high = self.locked_mhz or (self.clock_mhz_min, self.clock_mhz_max)
        return high if self.load > 0 else low

    @property
    def clock_mhz(self) -> int:
        """The clock in force."""
        steps = range(self.clock_mhz_min, self.wanted_mhz + 1, self.clock_mhz_step)
        fitting = [clock for clock in steps if self._power_mw(clock) <= self.limit_mw]
        return fitting[-1] if fitting else self.clock_mhz_min

    @property
    def power_mw(self) -> int:
        """Power in force."""
        return self._power_mw(self.clock_mhz)

    def _power_mw(self, clock_mhz: int) -> int:
        dynamic_mw = self.limit_mw_default - self.idle_mw
        return self.idle_mw + round(self.load * dynamic_mw * clock_mhz / self.clock_mhz_max)


class SimulatedNvml:
    """The functions of `inference.meters.nvml.Nvml` over simulated GPUs.

    Attributes:
        gpus: these.
        root: whether the caller may change settings.
        started: references that `nvmlInit` gave and `nvmlShutdown` has not taken back.
        calls: names of the setting functions called, in order.
    """

    def __init__(self, *gpus: SimulatedGpu, root: bool = True) -> None:
        """Install the GPUs; without any, there is no driver either."""
        self.gpus = gpus
        self.root = root
        self.started = 0
        self.calls: list[str] = []

    def advance(self, elapsed_ns: int) -> None:
        """Let time pass at the present power."""
        for gpu in self.gpus:
            gpu.energy_pj += gpu.power_mw * elapsed_ns

    def _gpu(self, handle: int) -> SimulatedGpu:
        if not self.started:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        gpu = self.gpus[handle]
        if gpu.lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return gpu

    def _changed(self, function: str, handle: int) -> SimulatedGpu:
        gpu = self._gpu(handle)
        if not self.root:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        self.calls.append(function)
        return gpu

    # From here on NVML's names and meanings.

    def nvmlInit(self) -> None:  # noqa: N802, D102
        if not self.gpus:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
        self.started += 1

    def nvmlShutdown(self) -> None:  # noqa: N802, D102
        if not self.started:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        self.started -= 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802, D102
        return "simulated"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802, D102
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802, D102
        if not 0 <= index < len(self.gpus):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802, D102
        return self._gpu(handle).name

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802, D102
        return self._gpu(handle).uuid

    def nvmlDeviceGetMigMode(self, device: int) -> list[int]:  # noqa: N802, D102
        gpu = self._gpu(device)
        if not gpu.has_mig:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [int(gpu.mig), int(gpu.mig)]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802, D102
        gpu = self._gpu(handle)
        if not gpu.has_counter:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return gpu.energy_pj // 1_000_000_000

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802, D102
        gpu = self._gpu(handle)
        if not gpu.has_sensor:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return gpu.power_mw

    def nvmlDeviceGetPowerManagementLimit(self, handle: int) -> int:  # noqa: N802, D102
        return self._gpu(handle).limit_mw

    def nvmlDeviceGetPowerManagementLimitConstraints(self, handle: int) -> list[int]:  # noqa: N802, D102
        gpu = self._gpu(handle)
        return [gpu.limit_mw_min, gpu.limit_mw_max]

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: int) -> int:  # noqa: N802, D102
        return self._gpu(handle).limit_mw_default

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:  # noqa: N802, D102
        return self._gpu(handle).limit_mw

    def nvmlDeviceSetPowerManagementLimit(self, handle: int, limit: int) -> None:  # noqa: N802, D102
        gpu = self._changed("nvmlDeviceSetPowerManagementLimit", handle)
        if not gpu.limit_mw_min <= limit <= gpu.limit_mw_max:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        gpu.limit_mw = limit

    def nvmlDeviceGetSupportedMemoryClocks(self, handle: int) -> list[int]:  # noqa: N802, D102
        self._gpu(handle)
        return [MEMORY_CLOCK_MHZ, IDLE_MEMORY_CLOCK_MHZ]

    def nvmlDeviceGetSupportedGraphicsClocks(  # noqa: N802, D102
        self,
        handle: int,
        memoryClockMHz: int,  # noqa: N803
    ) -> list[int]:
        gpu = self._gpu(handle)
        highest = {MEMORY_CLOCK_MHZ: gpu.clock_mhz_max, IDLE_MEMORY_CLOCK_MHZ: IDLE_CLOCK_MHZ_MAX}
        if memoryClockMHz not in highest:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return list(range(highest[memoryClockMHz], gpu.clock_mhz_min - 1, -gpu.clock_mhz_step))

    def nvmlDeviceGetClockInfo(self, handle: int, type: int) -> int:  # noqa: N802, D102
        gpu = self._gpu(handle)
        return MEMORY_CLOCK_MHZ if type == pynvml.NVML_CLOCK_MEM else gpu.clock_mhz

    def nvmlDeviceSetGpuLockedClocks(  # noqa: N802, D102
        self,
        handle: int,
        minGpuClockMHz: int,  # noqa: N803
        maxGpuClockMHz: int,  # noqa: N803
    ) -> None:
        gpu = self._changed("nvmlDeviceSetGpuLockedClocks", handle)
        if not gpu.clock_mhz_min <= minGpuClockMHz <= maxGpuClockMHz <= gpu.clock_mhz_max:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        gpu.locked_mhz = (minGpuClockMHz, maxGpuClockMHz)

    def nvmlDeviceResetGpuLockedClocks(self, handle: int) -> None:  # noqa: N802, D102
        self._changed("nvmlDeviceResetGpuLockedClocks", handle).locked_mhz = None

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: int) -> int:  # noqa: N802, D102
        gpu = self._gpu(handle)
        if gpu.clock_mhz < gpu.wanted_mhz:
            return int(pynvml.nvmlClocksEventReasonSwPowerCap)
        return int(
            pynvml.nvmlClocksEventReasonNone if gpu.load else pynvml.nvmlClocksEventReasonGpuIdle
        )
