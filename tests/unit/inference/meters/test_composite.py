"""Goal: several meters read as one count nothing twice, and one that fails does not silence the others."""

import pytest

from inference.errors import HardwareAbsent, HardwareError
from inference.meters.composite import CompositeMeter
from inference.meters.cpu_model import CpuModelMeter
from inference.meters.delta import energy_delta
from inference.meters.gpu import GpuMeter
from inference.meters.host_sensor import HostSensorMeter
from inference.meters.protocols import Scope
from inference.meters.rapl import RaplMeter
from inference.meters.simulated_gpu import SimulatedGpu, SimulatedNvml
from inference.models.provenance import Origin
from tests.unit.inference.meters import trees
from tests.unit.inference.meters.test_cpu_model import line

SECOND = 1_000_000_000


def test_packages_and_gpus_add_up(tmp_path):
    host = trees.amd(tmp_path)
    nvml = SimulatedNvml(SimulatedGpu(idle_mw=100_000))
    meter = CompositeMeter([RaplMeter(host), GpuMeter(nvml)])
    assert meter.name == "rapl+nvml"
    assert meter.coverage.source == "powercap, NVML"
    before = meter.read(0)
    nvml.advance(SECOND)
    trees.zone(host, "intel-rapl:0", "package-0", trees.AMD_UJ, 65_532_200_000)
    delta = energy_delta(meter.coverage, before, meter.read(SECOND))
    assert delta.outermost is not None
    assert delta.outermost.energy_j == pytest.approx(100.2)
    assert delta.outermost.origin is Origin.MEASURED
    meter.close()
    assert nvml.started == 0


def test_a_modelled_cpu_beside_measured_gpus_makes_only_the_total_modelled(tmp_path):
    host = trees.virtual_machine(tmp_path)
    nvml = SimulatedNvml(SimulatedGpu())
    meter = CompositeMeter([CpuModelMeter(line(10.0, 20.0), host), GpuMeter(nvml)])
    before = meter.read(0)
    delta = energy_delta(meter.coverage, before, meter.read(SECOND))
    gpu, total = delta.scope(Scope.GPU), delta.outermost
    assert gpu is not None
    assert total is not None
    assert (gpu.origin, total.origin) == (Origin.MEASURED, Origin.MODELLED)


def test_the_hosts_sensor_includes_all_others(tmp_path):
    host = trees.amd(tmp_path)
    trees.power_meter(host, 400_000_000)
    meter = CompositeMeter([HostSensorMeter(host), RaplMeter(host)])
    assert {d.name: d.inside for d in meter.coverage.domains} == {"host": "", "package-0": "host"}
    before = meter.read(0)
    delta = energy_delta(meter.coverage, before, meter.read(2 * SECOND))
    assert delta.outermost is not None
    assert delta.outermost.energy_j == 800.0


def test_one_thing_is_not_counted_by_two(tmp_path):
    host = trees.amd(tmp_path)
    trees.stat(host, 0, 0)
    with pytest.raises(ValueError, match="rapl and cpu-model both count package energy"):
        CompositeMeter([RaplMeter(host), CpuModelMeter(line(1.0, 2.0), host)])
    with pytest.raises(ValueError, match="two counters are named 'package-0'"):
        CompositeMeter([RaplMeter(host), RaplMeter(host)])
    with pytest.raises(ValueError, match="at least one"):
        CompositeMeter([])


def test_a_meter_that_fails_is_named_and_the_other_goes_on(tmp_path):
    gpu = SimulatedGpu()
    host = trees.amd(tmp_path)
    meter = CompositeMeter([RaplMeter(host), GpuMeter(SimulatedNvml(gpu))])
    gpu.lost = True
    sample = meter.read(0)
    assert list(sample.energy_uj) == ["package-0"]
    assert "gpu-0" in sample.failed
    (host.sys / "class/powercap/intel-rapl:0/energy_uj").unlink()
    with pytest.raises(HardwareError):
        meter.read(1)


def test_a_host_sensor_by_either_of_its_files(tmp_path):
    host = trees.roots(tmp_path)
    file = trees.power_meter(host, 250_000_000, averages=False)
    (host.sys / "class/hwmon/hwmon1").mkdir()  # a chip without a name is passed over
    meter = HostSensorMeter(host)
    meter.read(0)
    file.write_text("350000000\n")
    assert meter.read(SECOND).energy_uj == {"host": 300_000_000}
    assert meter.coverage.scopes == {Scope.HOST}
    meter.close()


def test_no_host_sensor_and_two_of_them(tmp_path):
    host = trees.roots(tmp_path)
    with pytest.raises(HardwareAbsent, match="0 ACPI power meters"):
        HostSensorMeter(host)
    trees.power_meter(host, 1)
    trees.power_meter(host, 1, number=3)
    with pytest.raises(HardwareAbsent, match="2 ACPI power meters"):
        HostSensorMeter(host)
