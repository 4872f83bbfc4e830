import errno
import os
from pathlib import Path

import pytest

from junctiond.cores import sampler as module
from junctiond.cores.sampler import Look, Sampler, compare, parse_cpu_ns, parse_stat

STAT = """cpu  30 0 10 200 5 0 0 5 0 0
cpu0 20 0 5 70 5 0 0 0 0 0
cpu1 10 0 5 130 0 0 0 5 0 0
intr 5
"""


def test_what_is_neither_idle_nor_waiting_for_a_disk_is_busy() -> None:
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    busy, total = parse_stat(STAT, [0, 1])
    assert busy == {0: 25 * tick_ns, 1: 20 * tick_ns}
    assert total == {0: 100 * tick_ns, 1: 150 * tick_ns}
    assert parse_stat(STAT, [1])[0].keys() == {1}


def test_cpu_time_of_both_versions() -> None:
    assert parse_cpu_ns("123\n") == 123
    assert parse_cpu_ns("usage_usec 5\nuser_usec 1\n") == 5000
    assert parse_cpu_ns("nr_periods 0\n") is None
    assert parse_cpu_ns("") is None


def test_two_looks_make_shares() -> None:
    before = Look(0, {0: 0, 1: 50}, {0: 0, 1: 100}, {0: 100}, {"a": 0, "gone": 5})
    now = Look(1000, {0: 750, 1: 50}, {0: 1000, 1: 1100}, {0: 350}, {"a": 1500, "new": 9})
    seen = compare(now, before)
    assert seen.busy == {0: 0.75, 1: 0.0}
    assert seen.door == {0: 0.25}
    assert seen.sandboxes == {"a": 1.5}


def test_a_look_at_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "group"
    group.mkdir()
    (group / "cpuacct.usage").write_text("1000\n")
    monkeypatch.setattr(module, "cgroup_folders", lambda parent, sandbox: [group])
    usable = tuple(sorted(os.sched_getaffinity(0)))
    sampler = Sampler(usable, usable[:1], "p")
    first = sampler.look(1, os.getpid(), ["a"])
    (group / "cpuacct.usage").write_text("2500\n")
    second = sampler.look(2, os.getpid(), ["a"])
    assert tuple(first.total_ns) == usable
    assert (first.sandboxes_ns, second.sandboxes_ns) == ({"a": 1000}, {"a": 2500})
    assert first.workers_ns == {}, "this process has no front door"
    sampler.forget("a")
    sampler.close()


def test_a_group_that_goes_between_open_and_read_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> bytes:
        raise OSError(errno.ENODEV, "No such device")

    (tmp_path / "cpuacct.usage").write_text("7\n")
    monkeypatch.setattr("junctiond.cores.sampler.cgroup_folders", lambda *_: [tmp_path])
    sampler = Sampler((0,), (0,), "p")
    assert sampler.cpu_ns("a") == 7
    with monkeypatch.context() as patch:
        patch.setattr("junctiond.cores.sampler.os.pread", gone)
        assert sampler.cpu_ns("a") is None, "by a file that was open"
        assert sampler.cpu_ns("b") is None, "by one that is opened now"
    assert sampler.cpu_ns("a") == 7
    sampler.close()
