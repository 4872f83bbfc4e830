"""Goal: GPU energy comes from the counter where there is one, from power where not, and says which; refusals are clear."""

import inspect

import pynvml
import pytest

from inference.errors import (
    HardwareAbsent,
    HardwareDenied,
    HardwareError,
    HardwareRefused,
)
from inference.meters.delta import Continuity, energy_delta
from inference.meters.gpu import GpuMeter
from inference.meters.nvml import Nvml, Session, call
from inference.meters.protocols import Scope
from inference.meters.simulated_gpu import SimulatedGpu, SimulatedNvml
from inference.models.provenance import Origin

SECOND = 1_000_000_000
FUNCTIONS = sorted(name for name in vars(SimulatedNvml) if name.startswith("nvml"))


def test_counter_and_integral_side_by_side():
    nvml = SimulatedNvml(
        SimulatedGpu(idle_mw=100_000), SimulatedGpu(idle_mw=50_000, has_counter=False)
    )
    meter = GpuMeter(nvml)
    before = meter.read(0)
    nvml.advance(10 * SECOND)
    delta = energy_delta(meter.coverage, before, meter.read(10 * SECOND))
    assert delta.energy_uj == {"gpu-0": 1_000_000_000, "gpu-1": 500_000_000}
    assert delta.power_w("gpu-1") == 50.0
    notes = [domain.note for domain in meter.coverage.domains]
    assert "energy counter since" in notes[0]
    assert "added up" in notes[1]
    assert meter.coverage.origin is Origin.MEASURED
    assert meter.coverage.scopes == {Scope.GPU}
    assert meter.power_mw(1) == 50_000


def test_mig_is_noted_for_its_energy_is_of_the_whole_gpu():
    meter = GpuMeter(SimulatedNvml(SimulatedGpu(mig=True), SimulatedGpu(has_mig=False)))
    notes = [domain.note for domain in meter.coverage.domains]
    assert "MIG is on" in notes[0]
    assert "MIG" not in notes[1]


def test_a_reloaded_driver_is_a_reset():
    gpu = SimulatedGpu(energy_pj=10**18)
    nvml = SimulatedNvml(gpu)
    meter = GpuMeter(nvml)
    before = meter.read(0)
    gpu.energy_pj = 5 * 10**12
    delta = energy_delta(meter.coverage, before, meter.read(SECOND))
    assert delta.continuity["gpu-0"] is Continuity.RESET
    assert delta.energy_uj["gpu-0"] == 5_000_000
    assert delta.outermost is not None
    assert delta.outermost.lower_bound


def test_a_lost_gpu_is_named_and_the_others_go_on():
    gpus = SimulatedGpu(), SimulatedGpu()
    meter = GpuMeter(SimulatedNvml(*gpus))
    gpus[1].lost = True
    sample = meter.read(0)
    assert list(sample.energy_uj) == ["gpu-0"]
    assert "fell off its bus" in sample.failed["gpu-1"]
    gpus[0].lost = True
    with pytest.raises(HardwareError, match="gpu-1"):
        meter.read(1)


def test_no_driver_and_too_few_gpus():
    with pytest.raises(HardwareAbsent, match="install the NVIDIA driver"):
        GpuMeter(SimulatedNvml())
    session = Session(SimulatedNvml(SimulatedGpu()))
    with pytest.raises(HardwareAbsent, match="NVML knows 1 GPUs"):
        session.device(1)


def test_each_user_gives_back_its_own_reference_once():
    nvml = SimulatedNvml(SimulatedGpu())
    first, second = GpuMeter(nvml), GpuMeter(nvml)
    first.close()
    first.close()
    assert second.read(0).energy_uj == {"gpu-0": 0}
    second.close()
    assert nvml.started == 0


def test_a_start_that_fails_half_way_gives_its_reference_back():
    nvml = SimulatedNvml(SimulatedGpu(lost=True))
    with pytest.raises(HardwareError, match="gpu-0") as caught:
        GpuMeter(nvml)
    assert not isinstance(caught.value, HardwareAbsent), "a broken GPU is no reason to do without"
    assert nvml.started == 0


def test_a_gpu_that_tells_nothing_is_left_out():
    dumb = SimulatedGpu(has_counter=False, has_sensor=False)
    meter = GpuMeter(SimulatedNvml(dumb, SimulatedGpu()))
    assert [domain.name for domain in meter.coverage.domains] == ["gpu-1"]
    nvml = SimulatedNvml(dumb)
    with pytest.raises(HardwareAbsent, match="no GPU tells energy or power"):
        GpuMeter(nvml)
    assert nvml.started == 0


def test_a_driver_without_gpus(monkeypatch):
    nvml = SimulatedNvml(SimulatedGpu())
    monkeypatch.setattr(nvml, "nvmlDeviceGetCount", lambda: 0)
    with pytest.raises(HardwareAbsent, match="the driver knows no GPU"):
        Session(nvml)
    assert nvml.started == 0


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("nvmlDeviceGetHandleByIndex", (1,), pynvml.NVML_ERROR_INVALID_ARGUMENT),
        ("nvmlDeviceSetPowerManagementLimit", (0, 100_000), pynvml.NVML_ERROR_INVALID_ARGUMENT),
        ("nvmlDeviceSetGpuLockedClocks", (0, 210, 2000), pynvml.NVML_ERROR_INVALID_ARGUMENT),
        ("nvmlDeviceGetSupportedGraphicsClocks", (0, 1), pynvml.NVML_ERROR_NOT_FOUND),
    ],
)
def test_the_simulated_driver_refuses_as_the_real_one(function, arguments, error):
    nvml = SimulatedNvml(SimulatedGpu())
    for stop in (nvml.nvmlShutdown, lambda: nvml.nvmlDeviceGetName(0)):
        with pytest.raises(pynvml.NVMLError) as caught:
            stop()
        assert caught.value.value == pynvml.NVML_ERROR_UNINITIALIZED
    nvml.nvmlInit()
    assert nvml.nvmlSystemGetDriverVersion() == "simulated"
    with pytest.raises(pynvml.NVMLError) as caught:
        getattr(nvml, function)(*arguments)
    assert caught.value.value == error


@pytest.mark.parametrize(
    ("code", "error", "mend"),
    [
        (pynvml.NVML_ERROR_NO_PERMISSION, HardwareDenied, "run as root"),
        (pynvml.NVML_ERROR_NOT_SUPPORTED, HardwareAbsent, "do without"),
        (pynvml.NVML_ERROR_INVALID_ARGUMENT, HardwareRefused, "within the GPU's limits"),
        (pynvml.NVML_ERROR_IN_USE, HardwareRefused, "another tool"),
        (pynvml.NVML_ERROR_UNKNOWN, HardwareError, "dmesg"),
    ],
)
def test_refusals_say_whose_they_are_and_the_mend(code, error, mend):
    def nvml_does_something():
        raise pynvml.NVMLError(code)

    with pytest.raises(error, match=f"gpu-7: nvml_does_something: .*{mend}") as caught:
        call("gpu-7", nvml_does_something)
    assert type(caught.value) is error


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_simulated_functions_are_nvidias(name):
    """Same name and same parameters, so that what passes here is at least a call that NVIDIA's binding takes."""
    ours = list(inspect.signature(getattr(SimulatedNvml, name)).parameters)[1:]
    assert ours == list(inspect.signature(getattr(pynvml, name)).parameters)


def test_nothing_that_we_call_is_missing_in_either():
    called = {name for name in vars(Nvml) if name.startswith("nvml")}
    assert called == set(FUNCTIONS)
