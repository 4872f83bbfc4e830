"""The power limit of a GPU's board, by NVML."""

from inference.actuators.protocols import Limits, Unit
from inference.errors import HardwareError
from inference.meters.nvml import Nvml, Session, call


class PowerLimitKnob:
    """Bounds the power of one GPU's board.

    Reactive: the board lowers its clock after it drew too much, so peaks shorter than its control loop pass through
    (POLCA, section on capping). A clock lock bounds before.

    Attributes:
        name, covers, limits, exact: see `Knob`; whole watts within the board's own constraints.
    """

    exact = True

    def __init__(self, index: int, nvml: Nvml | None = None) -> None:
        """Find out the board's constraints and the limit in force.

        Raises:
            HardwareAbsent: no such GPU, or its limit cannot be set.
        """
        self._session = Session(nvml)
        try:
            self._device = self._session.device(index)
            self.name = f"{self._device.label}/power-limit"
            self.covers = f"{self._device.name}, board"
            self._original_mw = self._get("nvmlDeviceGetPowerManagementLimit")
            default_mw = self._get("nvmlDeviceGetPowerManagementDefaultLimit")
            constraints = self._session.nvml.nvmlDeviceGetPowerManagementLimitConstraints
            low_mw, high_mw = call(self.name, constraints, self._device.handle)
        except HardwareError:
            self._session.close()
            raise
        self.limits = Limits(-(-low_mw // 1000), high_mw // 1000, default_mw // 1000, Unit.W)

    def read(self) -> int:
        """See `Knob`."""
        return self._get("nvmlDeviceGetPowerManagementLimit") // 1000

    def remark(self) -> str:
        """See `Knob`: a lower limit in force, such as that of the chassis."""
        limit_w = self.read()
        enforced_w = self._get("nvmlDeviceGetEnforcedPowerLimit") // 1000
        return f"{enforced_w} W enforced from outside" if enforced_w < limit_w else ""

    def write(self, value: int) -> None:
        """See `Knob`."""
        self._set(value * 1000)

    def restore(self) -> None:
        """See `Knob`."""
        self._set(self._original_mw)

    def release(self) -> None:
        """See `Knob`."""
        self._session.close()

    def _get(self, function: str) -> int:
        return int(call(self.name, getattr(self._session.nvml, function), self._device.handle))

    def _set(self, limit_mw: int) -> None:
        nvml = self._session.nvml
        call(self.name, nvml.nvmlDeviceSetPowerManagementLimit, self._device.handle, limit_mw)
