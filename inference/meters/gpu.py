"""Energy of this host's GPUs by NVML: the energy counter where a GPU has one, else its power added up."""

from inference.errors import HardwareAbsent, HardwareError
from inference.meters.integral import PowerIntegral
from inference.meters.nvml import Device, Nvml, Session, call
from inference.meters.protocols import Coverage, Domain, Sample, Scope
from inference.models.provenance import Origin

GPU_POWER_W_MAX = 4000.0
"""Twice the largest board of today; NVML's counters never wrap (64 bits of mJ), so this only tells resets."""
COUNTER_NOTE = "the driver's energy counter since it was loaded; it moves every 20 to 100 ms"
INTEGRAL_NOTE = "power samples added up at the period of reading: no energy counter before Volta"
MIG_NOTE = "MIG is on: of all its instances together; NVML does not divide energy among them"


class GpuMeter:
    """Energy of every GPU of this host. Measured by the board's own sensors (some 5 % by NVIDIA's word).

    Attributes:
        name: "nvml".
        coverage: one domain per GPU, "gpu-0" on, memory and board included.
    """

    def __init__(self, nvml: Nvml | None = None) -> None:
        """Start NVML and find out what each GPU can tell.

        Args:
            nvml: instead of NVIDIA's binding.

        Raises:
            HardwareAbsent: no driver, no GPU, or none that tells energy or power.
        """
        self.name = "nvml"
        self._session = Session(nvml)
        self._integrals: dict[int, PowerIntegral] = {}
        domains: list[Domain] = []
        self._devices: list[Device] = []
        try:
            for device in self._session.devices:
                note = self._source_of(device)
                if note:
                    self._devices.append(device)
                    domains.append(_domain(device, note))
            if not domains:
                raise HardwareAbsent("NVML", "no GPU tells energy or power", "measure at the host")
        except HardwareError:
            self.close()
            raise
        self.coverage = Coverage("NVML", tuple(domains))

    def read(self, now_ns: int) -> Sample:
        """See `Meter`. A GPU that fails is named in the sample, and the others go on."""
        energy_uj: dict[str, int] = {}
        failed: dict[str, str] = {}
        error: HardwareError | None = None
        for device in self._devices:
            try:
                energy_uj[device.label] = self._energy_uj(device, now_ns)
            except HardwareError as caught:
                failed[device.label] = str(caught)
                error = caught
        if error and not energy_uj:
            raise error
        return Sample(now_ns, energy_uj, failed)

    def power_mw(self, index: int) -> int:
        """Power of a GPU as its sensor says: on Ampere and later, over the last second.

        Raises:
            HardwareError: it does not tell.
        """
        device = self._session.device(index)
        return call(device.label, self._session.nvml.nvmlDeviceGetPowerUsage, device.handle)

    def close(self) -> None:
        """See `Meter`."""
        self._session.close()

    def _source_of(self, device: Device) -> str:
        nvml = self._session.nvml
        try:
            call(device.label, nvml.nvmlDeviceGetTotalEnergyConsumption, device.handle)
        except HardwareAbsent:
            pass
        else:
            return COUNTER_NOTE
        try:
            call(device.label, nvml.nvmlDeviceGetPowerUsage, device.handle)
        except HardwareAbsent:
            return ""
        self._integrals[device.index] = PowerIntegral()
        return INTEGRAL_NOTE

    def _energy_uj(self, device: Device, now_ns: int) -> int:
        nvml, integral = self._session.nvml, self._integrals.get(device.index)
        if integral is None:
            energy_mj = call(device.label, nvml.nvmlDeviceGetTotalEnergyConsumption, device.handle)
            return energy_mj * 1000
        return integral.add(self.power_mw(device.index), now_ns)


def _domain(device: Device, note: str) -> Domain:
    return Domain(
        name=device.label,
        scope=Scope.GPU,
        origin=Origin.MEASURED,
        power_w_max=GPU_POWER_W_MAX,
        note=f"{device.name}: {note}" + (f"; {MIG_NOTE}" if device.mig else ""),
    )
