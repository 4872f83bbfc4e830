"""Goal: every knob keeps the promises of the protocol, recorded and simulated ones and those of this machine.

What belongs to the whole machine (its GPUs and CPU clocks) is only asked and run dry here; that real quotas are really
set is tested in a control group of the test's own (`test_cpu_quota`).
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from inference.actuators.actuator import Actuator
from inference.actuators.cpu_quota import CpuQuotaKnob
from inference.actuators.cpufreq import CpuClockKnob
from inference.actuators.power_limit import PowerLimitKnob
from inference.actuators.protocols import Knob, Outcome
from inference.actuators.sm_clock import SmClockKnob
from inference.errors import HardwareAbsent, HardwareDenied, HardwareRefused
from inference.meters.simulated_gpu import SimulatedGpu, SimulatedNvml
from tests.unit.inference.actuators import trees

SECOND = 1_000_000_000

RECORDED: dict[str, Callable[[Path], Knob]] = {
    "intel_pstate": lambda path: CpuClockKnob(roots=trees.intel_pstate(path)),
    "acpi-cpufreq": lambda path: CpuClockKnob(roots=trees.acpi_cpufreq(path)),
    "hybrid": lambda path: CpuClockKnob(roots=trees.hybrid(path)),
    "quota v1": lambda path: CpuQuotaKnob(trees.cgroup_v1(path), 2400, cpus=2),
    "quota v2": lambda path: CpuQuotaKnob(trees.cgroup_v2(path), 2400, cpus=2),
    "sm clock": lambda _: SmClockKnob(0, nvml=SimulatedNvml(SimulatedGpu(load=1.0))),
    "power limit": lambda _: PowerLimitKnob(0, SimulatedNvml(SimulatedGpu())),
}
HERE: dict[str, Callable[[], Knob]] = {
    "cpu clock": CpuClockKnob,
    "sm clock": lambda: SmClockKnob(0),
    "power limit": lambda: PowerLimitKnob(0),
}


@pytest.fixture(params=RECORDED)
def knob(request: pytest.FixtureRequest, tmp_path: Path) -> Knob:
    return RECORDED[request.param](tmp_path)


def check_facts(knob: Knob) -> None:
    limits = knob.limits
    assert 0 < limits.minimum <= limits.default <= limits.maximum
    assert list(limits.steps) == sorted(set(limits.steps))
    if limits.steps:
        assert (limits.steps[0], limits.steps[-1]) == (limits.minimum, limits.maximum)
    assert knob.name
    assert knob.covers
    assert isinstance(knob.remark(), str)
    assert knob.read() > 0


def check_dry_run(knob: Knob) -> None:
    before = knob.read()
    with Actuator(knob, dry_run=True) as actuator:
        assert actuator.set(knob.limits.minimum, 0).outcome is Outcome.DRY_RUN
        if knob.exact:
            assert actuator.observe() == before


def test_it_says_what_it_is_and_takes(knob):
    check_facts(knob)


def test_a_dry_run_changes_nothing(knob):
    check_dry_run(knob)


def test_every_end_of_the_range_can_be_set_and_is_in_force(knob):
    with Actuator(knob, interval_ns=0) as actuator:
        for now, value in enumerate((knob.limits.minimum, knob.limits.maximum)):
            change = actuator.set(value, now)
            assert change.outcome is Outcome.CHANGED
            assert change.sent == change.in_force == value


def test_nothing_outside_the_range_is_set(knob):
    before = knob.read()
    with Actuator(knob) as actuator:
        for value in (knob.limits.minimum - 1, knob.limits.maximum + 1, 0, -1):
            with pytest.raises(HardwareRefused, match=f"{value} .* lies outside"):
                actuator.set(value, 0)
        assert actuator.observe() == before


def test_the_original_comes_back(knob):
    before, exact = knob.read(), knob.exact
    actuator = Actuator(knob)
    actuator.set(knob.limits.minimum, 0)
    knob.restore()
    assert knob.read() == before
    assert exact == knob.exact
    actuator.close()


@pytest.mark.parametrize("name", HERE)
def test_the_knobs_of_this_machine(name):
    try:
        knob = HERE[name]()
    except (HardwareAbsent, HardwareDenied) as error:
        pytest.skip(str(error))
    check_facts(knob)
    check_dry_run(knob)
