"""Goal: all CPUs are bounded in the kernel's own terms, in an order that it takes, and put back as they were."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.actuators import cpufreq
from inference.actuators.actuator import Actuator
from inference.actuators.cpufreq import CpuClockKnob
from inference.actuators.protocols import Limits, Outcome, Unit
from inference.domain.action import Precedence
from inference.errors import HardwareAbsent, HardwareDenied, HardwareError, HardwareRefused
from inference.meters.sysfs import HostRoots, write_text
from tests.unit.inference.actuators import trees

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpufreq, "write_text", trees.strict_write)


def bounds(host: HostRoots, number: int = 0) -> tuple[int, int, str]:
    folder = host.sys / f"devices/system/cpu/cpu{number}/cpufreq"
    low, high = (int((folder / f"scaling_{end}_freq").read_text()) for end in ("min", "max"))
    return low, high, (folder / "scaling_governor").read_text().strip()


def test_intel_pstate_takes_any_clock_and_comes_back(tmp_path):
    host = trees.intel_pstate(tmp_path)
    knob = CpuClockKnob(roots=host)
    assert knob.limits == Limits(800, 3200, 3200, Unit.MHZ)
    assert knob.covers == "all CPUs, 2 policies of intel_pstate"
    with Actuator(knob) as actuator:
        assert actuator.set(1234, 0).in_force == 1234
        assert bounds(host, 0) == bounds(host, 1) == (800_000, 1_234_000, "powersave")
    assert bounds(host, 0) == bounds(host, 1) == (800_000, 3_200_000, "powersave")


def test_acpi_cpufreq_takes_its_own_clocks_and_moves_a_lower_bound_out_of_the_way(tmp_path):
    host = trees.acpi_cpufreq(tmp_path)
    knob = CpuClockKnob(roots=host)
    assert knob.limits == Limits(1500, 2450, 2450, Unit.MHZ, (1500, 2000, 2450))
    with Actuator(knob) as actuator:
        change = actuator.set(1999, 0)
        assert (change.sent, change.in_force) == (1500, 1500)
        assert bounds(host) == (1_500_000, 1_500_000, "schedutil")
        actuator.set(2450, 5 * SECOND)
        assert bounds(host) == (2_000_000, 2_450_000, "schedutil")
        actuator.set(1600, 10 * SECOND)
    assert bounds(host) == (2_000_000, 2_450_000, "schedutil")


def test_each_kind_of_core_takes_the_bound_as_far_as_it_goes(tmp_path):
    host = trees.hybrid(tmp_path)
    with Actuator(CpuClockKnob(roots=host)) as actuator:
        assert actuator.set(3000, 0).in_force == 3000
        assert bounds(host, 0)[1] == 3_000_000
        assert bounds(host, 1)[1] == 2_400_000
    assert bounds(host, 0)[1] == 3_200_000


def test_a_clock_told_with_khz_to_spare_can_be_asked_in_mhz(tmp_path):
    host = trees.intel_pstate(tmp_path, cpus=1)
    folder = host.sys / "devices/system/cpu/cpufreq/policy0"
    trees.write(folder, {"cpuinfo_max_freq": 3_529_052, "scaling_max_freq": 3_529_052})
    with Actuator(CpuClockKnob(roots=host)) as actuator:
        assert actuator.limits.maximum == 3529
        actuator.set(1000, 0)
        assert actuator.set(3529, 5 * SECOND).in_force == 3529
        assert bounds(host)[1] == 3_529_052


def test_a_governor_is_set_and_put_back(tmp_path):
    host = trees.acpi_cpufreq(tmp_path)
    with Actuator(CpuClockKnob("performance", host)) as actuator:
        assert bounds(host)[2] == "schedutil"
        actuator.set(2450, 0)
        assert bounds(host)[2] == "performance"
    assert bounds(host)[2] == "schedutil"
    with pytest.raises(HardwareRefused, match=r"no governor 'turbo'; there are conservative, on"):
        CpuClockKnob("turbo", host)


def test_turbo_that_is_off_and_a_bound_of_the_firmware_are_told(tmp_path):
    host = trees.intel_pstate(tmp_path / "intel", no_turbo=1)
    with Actuator(CpuClockKnob(roots=host)) as actuator:
        assert actuator.set(3000, 0).remark == "turbo is off: at most 2000 MHz"
    host = trees.acpi_cpufreq(tmp_path / "amd")
    folder = host.sys / "devices/system/cpu/cpufreq/policy0"
    assert CpuClockKnob(roots=host).remark() == ""
    trees.write(folder, {"bios_limit": 2_000_000})
    assert CpuClockKnob(roots=host).remark() == "the firmware allows 2000 MHz"


def test_no_cpufreq(tmp_path):
    with pytest.raises(HardwareAbsent, match=r"cpu0/cpufreq: no cpufreq.*use a CPU quota"):
        CpuClockKnob(roots=trees.roots(tmp_path))


def test_where_one_policy_refuses_all_go_back(tmp_path, monkeypatch):
    host = trees.intel_pstate(tmp_path, cpus=3)

    def refuse_the_last(path: Path, text: str, mend: str) -> None:
        if "cpu2" in str(path):
            raise HardwareDenied(str(path), "no", mend)
        trees.strict_write(path, text, mend)

    actuator = Actuator(CpuClockKnob(roots=host))
    monkeypatch.setattr(cpufreq, "write_text", refuse_the_last)
    with pytest.raises(HardwareDenied, match=r"cpu2.*run as root"):
        actuator.set(1000, 0)
    assert [bounds(host, number)[1] for number in range(3)] == [3_200_000] * 3
    with pytest.raises(HardwareDenied):
        actuator.close()


def test_a_file_that_holds_something_else_is_named(tmp_path):
    host = trees.acpi_cpufreq(tmp_path)
    folder = host.sys / "devices/system/cpu/cpufreq/policy0"
    trees.write(folder, {"scaling_available_frequencies": "fast slow"})
    with pytest.raises(HardwareError, match=r"scaling_available_frequencies: holds 'fast slow'"):
        CpuClockKnob(roots=host)


def test_the_files_are_really_written(tmp_path, monkeypatch):
    monkeypatch.setattr(cpufreq, "write_text", write_text)
    host = trees.intel_pstate(tmp_path)
    with Actuator(CpuClockKnob(roots=host)) as actuator:
        assert actuator.set(900, 0).outcome is Outcome.CHANGED
        assert bounds(host)[1] == 900_000
    assert bounds(host)[1] == 3_200_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.integers(1500, 2450), min_size=1, max_size=8))
def test_no_order_of_bounds_is_refused_by_the_kernel(tmp_path_factory, values):
    host = trees.acpi_cpufreq(tmp_path_factory.mktemp("tree"))
    with Actuator(CpuClockKnob(roots=host)) as actuator:
        for now_s, value in enumerate(values):
            actuator.set(value, now_s * SECOND, Precedence.CAP)
            low, high, _ = bounds(host)
            assert low <= high <= value * 1000
    assert bounds(host) == (2_000_000, 2_450_000, "schedutil")
