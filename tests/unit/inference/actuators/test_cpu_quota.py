"""Goal: a quota stands for a clock exactly, in both versions of control groups, and really holds back a real process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.actuators.actuator import Actuator
from inference.actuators.cpu_quota import CpuQuotaKnob
from inference.actuators.quota_clock import QuotaClock
from inference.errors import HardwareAbsent, HardwareError, HardwareRefused
from tests.unit.inference.actuators import trees

SECOND = 1_000_000_000
MAPPINGS = st.builds(
    QuotaClock,
    reference_mhz=st.integers(1, 5000),
    cpus=st.integers(1, 256),
    period_us=st.integers(5000, 1_000_000),
)


@given(MAPPINGS, st.data())
def test_a_clock_comes_back_exactly_from_its_quota(mapping, data):
    clock = data.draw(st.integers(mapping.clock_mhz_min, mapping.reference_mhz))
    quota = mapping.quota_us(clock)
    assert 1000 <= quota <= mapping.full_us
    assert mapping.clock_mhz(quota) == clock


@given(MAPPINGS, st.integers(-1, 10**9))
def test_any_quota_is_a_clock_up_to_the_reference(mapping, quota):
    clock = mapping.clock_mhz(quota)
    assert 1 <= clock <= mapping.reference_mhz
    if 0 < quota <= mapping.full_us:
        assert mapping.quota_us(clock) >= quota


def test_half_the_clock_is_half_the_cpu_time():
    mapping = QuotaClock(1980, cpus=4)
    assert mapping.quota_us(1980) == 400_000
    assert mapping.quota_us(990) == 200_000
    assert mapping.clock_mhz(-1) == 1980
    assert mapping.clock_mhz_min == 5  # 1 ms of 400 ms


@pytest.mark.parametrize(
    ("reference", "cpus", "period"), [(0, 1, 10**5), (1, 0, 10**5), (1, 1, 999), (5001, 1, 5000)]
)
def test_an_impossible_mapping_is_refused(reference, cpus, period):
    with pytest.raises(ValueError, match=r"expected positive|too few steps"):
        QuotaClock(reference, cpus, period)


def test_version_1(tmp_path):
    folder = trees.cgroup_v1(tmp_path)
    with Actuator(CpuQuotaKnob(folder, 2000, cpus=2)) as actuator:
        assert actuator.observe() == 2000
        change = actuator.set(500, 0)
        assert (change.in_force, change.remark) == (500, "50000 µs of CPU time in 100000 µs")
        assert (folder / "cpu.cfs_quota_us").read_text() == "50000"
    assert (folder / "cpu.cfs_quota_us").read_text() == "-1"


def test_version_2(tmp_path):
    folder = trees.cgroup_v2(tmp_path, "150000 50000")
    knob = CpuQuotaKnob(folder, 2000, cpus=4)
    assert knob.read() == 1500
    with Actuator(knob) as actuator:
        actuator.set(100, 0)
        assert (folder / "cpu.max").read_text() == "10000 50000"
    assert (folder / "cpu.max").read_text() == "150000 50000"


def test_version_2_without_quota(tmp_path):
    folder = trees.cgroup_v2(tmp_path)
    knob = CpuQuotaKnob(folder, 2000, cpus=1)
    assert (knob.read(), knob.remark()) == (2000, "no quota")
    with Actuator(knob) as actuator:
        actuator.set(2000, 0)
        assert (folder / "cpu.max").read_text() == "100000 100000"
    assert (folder / "cpu.max").read_text() == "max 100000"


@pytest.mark.parametrize("limit", ["", "max", "half 100000", "max soon"])
def test_another_cpu_max_is_refused(tmp_path, limit):
    with pytest.raises(HardwareError, match=r"cpu\.max: holds .* expected 'max' or a quota"):
        CpuQuotaKnob(trees.cgroup_v2(tmp_path, limit), 2000, cpus=1)


def test_a_group_that_is_gone_took_its_quota_with_it(tmp_path):
    folder = trees.cgroup_v1(tmp_path)
    actuator = Actuator(CpuQuotaKnob(folder, 2000, cpus=1))
    actuator.set(500, 0)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    actuator.close()


def test_no_group_and_no_controller(tmp_path):
    with pytest.raises(HardwareAbsent, match="create it first"):
        CpuQuotaKnob(tmp_path / "none", 2000, cpus=1)
    with pytest.raises(HardwareAbsent, match=r"cgroup\.subtree_control"):
        CpuQuotaKnob(tmp_path, 2000, cpus=1)


def test_below_the_least_quota_is_refused_with_the_range(tmp_path):
    with Actuator(CpuQuotaKnob(trees.cgroup_v1(tmp_path), 2000, cpus=1)) as actuator:
        with pytest.raises(HardwareRefused, match="19 MHz lies outside 20 to 2000 MHz"):
            actuator.set(19, 0)


def own_group(version: int) -> Path:
    """A control group of this test's own; skips where this machine has none of that version for us."""
    if version == 1:
        parent, control = Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us"
    else:
        parent, control = Path("/sys/fs/cgroup"), "cpu.max"
    folder = parent / f"junctiond-quota-test-{os.getpid()}"
    if version == 2 and not (parent / "cgroup.controllers").exists():
        pytest.skip("cgroup version 2 is not mounted at /sys/fs/cgroup")
    if version == 1 and not (parent / "cpu.shares").exists():
        pytest.skip("the cpu hierarchy of cgroup version 1 is not mounted")
    if not os.access(parent, os.W_OK):
        pytest.skip(f"{parent} is not writable: no root, or mounted read-only")
    folder.mkdir()
    if not (folder / control).exists():
        folder.rmdir()
        pytest.skip(f"{parent} does not hand the cpu controller down")
    return folder


@pytest.fixture(params=[1, 2])
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    folder = own_group(request.param)
    yield folder
    folder.rmdir()


SPIN = """
import pathlib, sys, time
pathlib.Path(sys.argv[1], "cgroup.procs").write_text("0")
end = time.process_time() + 0.08
while time.process_time() < end:
    pass
"""


def throttled(folder: Path) -> int:
    lines = (folder / "cpu.stat").read_text().splitlines()
    return int(dict(line.split() for line in lines)["nr_throttled"])


def test_a_real_process_is_held_back_by_the_kernel(group):
    """A tenth of a CPU: 80 ms of work need eight periods, and the kernel counts those in which it stopped us."""
    with Actuator(CpuQuotaKnob(group, 2000, cpus=1)) as actuator:
        assert actuator.set(200, 0).in_force == 200
        assert throttled(group) == 0
        subprocess.run([sys.executable, "-S", "-c", SPIN, str(group)], check=True)
        assert throttled(group) >= 4
    assert CpuQuotaKnob(group, 2000, cpus=1).remark() == "no quota"


def test_the_real_kernels_refusal_is_told():
    """A child may not have more than its parent (version 2 lets it ask for more, and holds it to the parent's)."""
    group = own_group(version=1)
    inner = group / "inner"
    inner.mkdir()
    try:
        with Actuator(CpuQuotaKnob(group, 2000, cpus=1)) as outer:
            outer.set(200, 0)
            with Actuator(CpuQuotaKnob(inner, 2000, cpus=1)) as actuator:
                with pytest.raises(HardwareRefused, match="cannot write '100000'"):
                    actuator.set(2000, 0)
    finally:
        inner.rmdir()
        group.rmdir()
