"""The SM clock of a GPU, by NVML's clock lock."""

import pynvml

from inference.actuators.protocols import Limits, Unit
from inference.errors import HardwareAbsent, HardwareError
from inference.meters.nvml import CLOCK_SM, Nvml, Session, call

REASONS = {
    pynvml.nvmlClocksEventReasonSwPowerCap: "its power limit bounds the clock",
    pynvml.nvmlClocksThrottleReasonHwSlowdown: "the hardware slows it down",
    pynvml.nvmlClocksEventReasonSyncBoost: "other GPUs in its sync group bound the clock",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "its temperature bounds the clock",
    pynvml.nvmlClocksThrottleReasonHwThermalSlowdown: "it is too hot",
    pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown: "the power brake is engaged from outside",
}


def reasons_shown(bits: int) -> str:
    """What bounds a clock beside the lock, in words."""
    return ", ".join(text for bit, text in REASONS.items() if bits & bit)


class SmClockKnob:
    """Bounds the SM clock of one whole GPU from above, all its MIG instances together.

    Under load a GPU runs at the upper end of its lock, so bounding is enough to set the clock, and leaves it free to
    fall when idle. Pinned, it stays there when idle too.

    NVML tells the clock but not the lock, so a lock that somebody else set before is not seen: the end is always a reset.

    Attributes:
        name, covers, limits, exact: see `Knob`. `read` is the clock of this moment.
    """

    exact = False

    def __init__(self, index: int, pinned: bool = False, nvml: Nvml | None = None) -> None:
        """Find out which clocks the GPU has.

        Args:
            index: of NVML.
            pinned: lock it at the value itself.
            nvml: instead of NVIDIA's binding.

        Raises:
            HardwareAbsent: no such GPU, or it does not tell its clocks (a virtual GPU).
        """
        self._session = Session(nvml)
        self._pinned = pinned
        try:
            self._device = self._session.device(index)
            self.name = f"{self._device.label}/sm-clock"
            self.covers = f"{self._device.name}, whole GPU" + (
                " with all MIG instances" if self._device.mig else ""
            )
            clocks = self._clocks()
        except HardwareError:
            self._session.close()
            raise
        self.limits = Limits(clocks[0], clocks[-1], clocks[-1], Unit.MHZ, clocks)

    def read(self) -> int:
        """See `Knob`."""
        return self._call("nvmlDeviceGetClockInfo", CLOCK_SM)

    def remark(self) -> str:
        """See `Knob`; nothing where the driver is too old to tell (before 535)."""
        try:
            return reasons_shown(self._call("nvmlDeviceGetCurrentClocksEventReasons"))
        except HardwareAbsent:
            return ""

    def write(self, value: int) -> None:
        """See `Knob`."""
        floor = value if self._pinned else self.limits.minimum
        nvml, handle = self._session.nvml, self._device.handle
        call(self.name, nvml.nvmlDeviceSetGpuLockedClocks, handle, floor, value)

    def restore(self) -> None:
        """See `Knob`: no lock."""
        call(self.name, self._session.nvml.nvmlDeviceResetGpuLockedClocks, self._device.handle)

    def release(self) -> None:
        """See `Knob`."""
        self._session.close()

    def _call(self, function: str, *arguments: int) -> int:
        nvml, handle = self._session.nvml, self._device.handle
        return int(call(self.name, getattr(nvml, function), handle, *arguments))

    def _clocks(self) -> tuple[int, ...]:
        nvml, handle = self._session.nvml, self._device.handle
        memory = call(self.name, nvml.nvmlDeviceGetSupportedMemoryClocks, handle)
        if memory:
            # At the highest memory clock, which is where it computes; the others are for idling.
            supported = nvml.nvmlDeviceGetSupportedGraphicsClocks
            clocks = call(self.name, supported, handle, max(memory))
            if clocks:
                return tuple(sorted(clocks))
        raise HardwareAbsent(
            self.name, "the driver lists no clocks", "a virtual GPU's clock is its host's to set"
        )
