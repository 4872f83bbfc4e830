from pathlib import Path

import pytest

from junctiond import usage
from junctiond.usage import UsageMeter


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(usage, "cgroup_folders", lambda parent, sandbox: [tmp_path / "x", tmp_path])
    return tmp_path


def test_version_1(folder: Path):
    (folder / "memory.usage_in_bytes").write_text("1000\n")
    (folder / "memory.stat").write_text("cache 5\ntotal_inactive_file 300\n")
    (folder / "cpuacct.usage").write_text("0\n")
    meter = UsageMeter("p")
    meter.begin("s")
    assert meter.measure("s").memory_bytes == 700
    (folder / "cpuacct.usage").write_text("10000000000000\n")
    assert meter.measure("s").cpu_millicores > 0


def test_version_2(folder: Path):
    (folder / "memory.current").write_text("1000\n")
    (folder / "memory.stat").write_text("anon 5\ninactive_file 100\n")
    (folder / "cpu.stat").write_text("usage_usec 5000000\nuser_usec 1\n")
    meter = UsageMeter("p")
    first = meter.measure("s")
    assert (first.memory_bytes, first.cpu_millicores) == (900, 0.0)
    assert meter.measure("s").cpu_millicores == 0.0
    assert first.cpu_ns == 5_000_000_000


def test_what_replicas_used_stays_with_their_function(folder: Path):
    meter = UsageMeter("p")
    owner = ("n", "f")
    for used_us in (7, 5):
        (folder / "cpu.stat").write_text(f"usage_usec {used_us}\n")
        meter.begin("s")
        meter.measure("s")
        (folder / "cpu.stat").unlink()
        assert meter.measure("s").cpu_ns == used_us * 1000, "the group went before its sandbox did"
        meter.retire("s", owner)
    assert meter.past_ns(owner) == 12_000
    meter.forget_owner(owner)
    assert meter.past_ns(owner) == 0


def test_a_sandbox_that_is_gone_uses_nothing(folder: Path):
    assert UsageMeter("p").measure("s").memory_bytes == 0
