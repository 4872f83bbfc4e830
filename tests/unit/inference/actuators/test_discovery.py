"""Goal: people see what can be metered and set, whether it measures, and what to mend; looking changes nothing."""

import pytest

from inference.actuators.discovery import Kind, discover
from inference.errors import HardwareAbsent, HardwareDenied, HardwareError
from inference.meters import host as host_module
from inference.meters.gpu import GpuMeter
from inference.meters.host import host_meter
from inference.meters.protocols import Scope
from inference.meters.simulated_gpu import SimulatedGpu, SimulatedNvml
from inference.meters.sysfs import HostRoots, read_text, write_text
from inference.models.provenance import Origin
from tests.unit.inference.actuators import trees
from tests.unit.inference.meters import trees as meter_trees
from tests.unit.inference.meters.test_cpu_model import line


def test_a_server_with_everything(tmp_path):
    host = meter_trees.intel_two_packages(tmp_path)
    meter_trees.stat(host, 0, 0)
    meter_trees.power_meter(host, 1)
    trees.intel_pstate(tmp_path)
    trees.write(host.sys / "fs/cgroup", {"cgroup.controllers": "cpuset cpu io memory"})
    nvml = SimulatedNvml(SimulatedGpu(load=1.0, limit_mw=300_000))
    found = {finding.name: finding for finding in discover(host, nvml)}
    assert all(finding.available for finding in found.values())
    assert found["rapl package-0"].origin is Origin.MEASURED
    assert found["rapl package-0"].detail == "read at least every 262 s"
    assert found["rapl package-1/dram"].covers == "dram"
    assert found["nvml gpu-0"].covers == "gpu"
    assert found["cpu-model"].origin is Origin.MODELLED
    assert found["gpu-0/sm-clock"].detail.startswith("210 to 1980 MHz, now ")
    assert found["gpu-0/sm-clock"].detail.endswith("its power limit bounds the clock")
    assert found["gpu-0/power-limit"].detail == "200 to 700 W, now 300"
    assert found["cpu/clock"].detail == "800 to 3200 MHz, now 3200"
    assert found["cpu-quota"].covers.endswith("version 2")
    assert [f.kind for f in found.values()] == sorted(
        (f.kind for f in found.values()), reverse=True
    )
    assert nvml.started == 0
    assert nvml.calls == []


def test_an_empty_machine_names_each_mend(tmp_path):
    found = discover(trees.roots(tmp_path), SimulatedNvml())
    assert [finding.name for finding in found] == [
        "rapl",
        "nvml",
        "host-sensor",
        "cpu-model",
        "gpu/*",
        "cpu/clock",
        "cpu-quota",
    ]
    for finding in found:
        assert not finding.available
        assert finding.origin is None
        assert "; " in finding.detail


def test_a_virtual_machine_with_cgroup_version_1(tmp_path):
    host = meter_trees.virtual_machine(tmp_path)
    trees.write(host.sys / "fs/cgroup/cpu", {"cpu.shares": 1024})
    found = {finding.name: finding for finding in discover(host, SimulatedNvml())}
    assert [name for name, finding in found.items() if finding.available] == [
        "cpu-model",
        "cpu-quota",
    ]
    assert found["cpu-quota"].covers.endswith("version 1")


def test_a_part_of_a_package_says_so(tmp_path):
    found = {f.name: f for f in discover(meter_trees.intel_client(tmp_path), SimulatedNvml())}
    assert found["rapl package-0/core"].detail.startswith("included in package-0")


def test_a_lost_gpu_is_a_finding_and_no_failure(tmp_path):
    found = discover(trees.roots(tmp_path), SimulatedNvml(SimulatedGpu(lost=True)))
    (gpus,) = (f for f in found if f.name == "gpu/*")
    assert "fell off its bus" in gpus.detail


def test_a_knob_that_cannot_be_read_is_a_finding_and_no_failure(tmp_path):
    host = trees.intel_pstate(tmp_path)
    driver = host.sys / "devices/system/cpu/cpufreq/policy0/scaling_driver"
    driver.unlink()
    (clock,) = (f for f in discover(host, SimulatedNvml()) if f.name == "cpu/clock")
    assert not clock.available
    assert "scaling_driver: No such file" in clock.detail


def test_this_machine():
    """Whatever it has: nothing raises, and each finding is whole."""
    found = discover()
    assert {finding.kind for finding in found} == {Kind.METER, Kind.ACTUATOR}
    assert all(
        finding.name and finding.covers and finding.detail
        for finding in found
        if not finding.available
    )


def test_host_meter_prefers_measuring_to_modelling(tmp_path):
    host = meter_trees.amd(tmp_path)
    meter_trees.stat(host, 0, 0)
    meter = host_meter(line(1.0, 2.0), host, SimulatedNvml(SimulatedGpu()))
    assert meter.name == "rapl+nvml"
    assert meter.coverage.origin is Origin.MEASURED
    meter.close()


def test_host_meter_models_only_where_it_is_told_to(tmp_path):
    host = meter_trees.virtual_machine(tmp_path)
    nvml = SimulatedNvml(SimulatedGpu())
    unmodelled = host_meter(None, host, nvml)
    assert unmodelled.coverage.scopes == {Scope.GPU}
    assert isinstance(unmodelled, GpuMeter)
    unmodelled.close()
    modelled = host_meter(line(1.0, 2.0), host, nvml)
    assert modelled.coverage.origin is Origin.MODELLED
    modelled.close()
    assert nvml.started == 0
    with pytest.raises(HardwareAbsent, match="no intel-rapl zones"):
        host_meter(None, host, SimulatedNvml())


def test_host_meter_does_not_hide_a_denied_counter(tmp_path, monkeypatch):
    nvml = SimulatedNvml(SimulatedGpu())

    def denied(roots: HostRoots | None) -> None:
        raise HardwareDenied("energy_uj", "Permission denied", "run as root")

    monkeypatch.setattr(host_module, "HostSensorMeter", denied)
    with pytest.raises(HardwareDenied):
        host_meter(line(1.0, 2.0), meter_trees.virtual_machine(tmp_path), nvml)
    assert nvml.started == 0


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_files_that_cannot_be_used_are_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(HardwareError, match=name):
        read_text(tmp_path / name, "mend")
    with pytest.raises(HardwareError, match=f"{name}: cannot write '1'"):
        write_text(tmp_path / name, "1", "mend")
    assert not (tmp_path / "missing").exists()
