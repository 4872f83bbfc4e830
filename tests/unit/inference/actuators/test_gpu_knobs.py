"""Goal: GPU clocks and power limits are set within what the GPU has, told as they took effect, and given back."""

import pynvml
import pytest

from inference.actuators.actuator import Actuator
from inference.actuators.power_limit import PowerLimitKnob
from inference.actuators.protocols import Limits, Unit
from inference.actuators.sm_clock import SmClockKnob, reasons_shown
from inference.domain.action import Precedence
from inference.errors import HardwareAbsent, HardwareDenied, HardwareRefused
from inference.meters.simulated_gpu import SimulatedGpu, SimulatedNvml

SECOND = 1_000_000_000


def lock(gpu: SimulatedGpu) -> tuple[int, int] | None:
    return gpu.locked_mhz


def test_a_clock_is_bounded_and_the_lock_goes_at_the_end():
    gpu = SimulatedGpu(load=1.0)
    nvml = SimulatedNvml(gpu)
    with Actuator(SmClockKnob(0, nvml=nvml)) as actuator:
        assert actuator.limits.minimum == 210
        assert actuator.limits.maximum == actuator.limits.default == 1980
        change = actuator.set(1400, 0)
        assert (change.sent, change.in_force, change.remark) == (1395, 1395, "")
        assert lock(gpu) == (210, 1395)
        gpu.load = 0.0
        assert actuator.observe() == 210
    assert lock(gpu) is None
    assert nvml.calls == ["nvmlDeviceSetGpuLockedClocks", "nvmlDeviceResetGpuLockedClocks"]
    assert nvml.started == 0


def test_a_pinned_clock_stays_when_idle():
    gpu = SimulatedGpu()
    with Actuator(SmClockKnob(0, pinned=True, nvml=SimulatedNvml(gpu))) as actuator:
        assert actuator.set(1980, 0).in_force == 1980
        assert gpu.locked_mhz == (1980, 1980)


def test_a_power_limit_below_the_clock_is_told():
    gpu = SimulatedGpu(load=1.0, limit_mw=400_000)
    with Actuator(SmClockKnob(0, nvml=SimulatedNvml(gpu))) as actuator:
        change = actuator.set(1980, 0)
    assert change.in_force is not None
    assert change.in_force < 1980
    assert change.remark == "its power limit bounds the clock"


def test_reasons_in_words():
    assert reasons_shown(0) == ""
    assert reasons_shown(0x1) == ""
    assert reasons_shown(0x4 | 0x80) == (
        "its power limit bounds the clock, the power brake is engaged from outside"
    )


def test_a_driver_too_old_to_tell_reasons_can_still_set(monkeypatch):
    nvml = SimulatedNvml(SimulatedGpu(load=1.0))

    def too_old(handle: int) -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)

    monkeypatch.setattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", too_old)
    with Actuator(SmClockKnob(0, nvml=nvml)) as actuator:
        assert (actuator.covers, actuator.name) == ("Simulated GPU, whole GPU", "gpu-0/sm-clock")
        change = actuator.set(1500, 0)
    assert (change.in_force, change.remark) == (1500, "")


def test_polcas_brake_clock_on_an_a100():
    gpu = SimulatedGpu(clock_mhz_max=1410, load=1.0)
    with Actuator(SmClockKnob(0, nvml=SimulatedNvml(gpu))) as actuator:
        assert actuator.set(1110, 0, Precedence.CAP).in_force == 1110
        assert actuator.set(288, 1, Precedence.BRAKE).in_force == 285
        with pytest.raises(HardwareRefused, match="1411 MHz lies outside 210 to 1410 MHz"):
            actuator.set(1411, 10 * SECOND)


def test_a_power_limit_within_its_constraints_comes_back_to_the_milliwatt():
    gpu = SimulatedGpu(limit_mw=555_500, limit_mw_min=199_500)
    knob = PowerLimitKnob(0, SimulatedNvml(gpu))
    assert knob.limits == Limits(200, 700, 700, Unit.W)
    assert knob.read() == 555
    with Actuator(knob) as actuator:
        assert actuator.set(350, 0).in_force == 350
        assert gpu.limit_mw == 350_000
        for value in (199, 701):
            with pytest.raises(HardwareRefused, match=f"{value} W lies outside 200 to 700 W"):
                actuator.set(value, 10 * SECOND)
    assert gpu.limit_mw == 555_500


def test_a_limit_enforced_from_outside_is_told(monkeypatch):
    nvml = SimulatedNvml(SimulatedGpu())
    monkeypatch.setattr(nvml, "nvmlDeviceGetEnforcedPowerLimit", lambda handle: 300_000)
    with Actuator(PowerLimitKnob(0, nvml)) as actuator:
        assert actuator.set(500, 0).remark == "300 W enforced from outside"


@pytest.mark.parametrize("make", [SmClockKnob, PowerLimitKnob])
def test_without_root_the_mend_is_named_and_the_session_goes(make):
    nvml = SimulatedNvml(SimulatedGpu(), root=False)
    actuator = Actuator(make(0, nvml=nvml))
    with pytest.raises(HardwareDenied, match="run as root"):
        actuator.set(400, 0)
    with pytest.raises(HardwareDenied):
        actuator.close()
    assert nvml.started == 0
    assert nvml.calls == []


@pytest.mark.parametrize("make", [SmClockKnob, PowerLimitKnob])
def test_no_such_gpu_leaves_no_session_behind(make):
    nvml = SimulatedNvml(SimulatedGpu())
    with pytest.raises(HardwareAbsent, match="gpu-3"):
        make(3, nvml=nvml)
    assert nvml.started == 0


def test_a_virtual_gpu_lists_no_clocks(monkeypatch):
    nvml = SimulatedNvml(SimulatedGpu(mig=True))
    assert "MIG" in SmClockKnob(0, nvml=nvml).covers
    monkeypatch.setattr(nvml, "nvmlDeviceGetSupportedGraphicsClocks", lambda handle, clock: [])
    with pytest.raises(HardwareAbsent, match="lists no clocks"):
        SmClockKnob(0, nvml=nvml)
