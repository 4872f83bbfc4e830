"""Goal: the fake and the real actuator do the same. Method: one suite over both, the real one on real threads."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from junctiond.cores import actuator
from junctiond.cores.actuator import AffinityActuator, threads
from junctiond.cores.base import Actuator
from junctiond.cores.fake import FakeCores
from junctiond.sandbox.remains import cgroup_folders

USABLE = tuple(sorted(os.sched_getaffinity(0)))
SPAWNER = """
import threading, time
def again():
    time.sleep(0.002)
    threading.Thread(target=again, daemon=True).start()
    time.sleep(0.05)
for _ in range(4):
    threading.Thread(target=again, daemon=True).start()
print("ready", flush=True)
time.sleep(60)
"""


@dataclass
class Case:
    actuator: Actuator
    sandbox: str

    def cores(self) -> set[tuple[int, ...]]:
        """The affinities of the sandbox's threads."""
        if isinstance(self.actuator, FakeCores):
            return {self.actuator.placed[self.sandbox]}
        found = set()
        for thread in threads(cgroup_folders(PARENT, self.sandbox)):
            try:
                found.add(tuple(sorted(os.sched_getaffinity(thread))))
            except ProcessLookupError:
                continue
        return found


PARENT = f"junctiond-test-{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["fake", "real"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    if request.param == "fake":
        yield Case(FakeCores(frozenset(USABLE)), "s")
        return
    if os.geteuid() != 0:
        pytest.skip("control groups need root")
    folders = [one for one in cgroup_folders(PARENT, "s") if one.parents[1].is_dir()]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("cpuset.mems", "cpuset.cpus"):
            for place in (folder.parent, folder):
                if (place / name).exists() and not (place / name).read_text().strip():
                    (place / name).write_text((place.parent / name).read_text())
    child = subprocess.Popen([sys.executable, "-c", SPAWNER], stdout=subprocess.PIPE)
    try:
        for folder in folders:
            (folder / "cgroup.procs").write_text(str(child.pid))
        assert child.stdout is not None
        child.stdout.readline()
        yield Case(AffinityActuator(PARENT), "s")
    finally:
        child.kill()
        child.communicate()
        for folder in folders:
            _remove(folder)
            _remove(folder.parent)


def _remove(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.02)
        else:
            return


@pytest.mark.skipif(len(USABLE) < 2, reason="moving needs two cores")
def test_every_thread_moves_also_those_that_start_meanwhile(case: Case) -> None:
    for cores in ((USABLE[-1],), (USABLE[0],), USABLE, (USABLE[-1],)):
        assert case.actuator.place(case.sandbox, cores) == ""
        for _ in range(3):
            assert case.cores() == {cores}
            time.sleep(0.01)


def test_a_sandbox_that_is_gone_needs_no_moving(case: Case) -> None:
    if isinstance(case.actuator, FakeCores):
        case.actuator.gone.add("other")
    assert case.actuator.place("other", USABLE[:1]) == ""


def test_cores_that_the_host_does_not_have_are_refused_with_the_reason(case: Case) -> None:
    assert "refused" in case.actuator.place(case.sandbox, (4000,))


def test_our_own_threads_stay() -> None:
    before = os.sched_getaffinity(threading.get_native_id())
    AffinityActuator(PARENT).place("nobody", USABLE[:1])
    assert os.sched_getaffinity(threading.get_native_id()) == before


def test_version_2_has_its_own_file_of_threads_and_perhaps_a_cpuset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "cgroup.threads").write_text(f"{child.pid}\n")
        (tmp_path / "cpuset.cpus").write_text("")
        monkeypatch.setattr(actuator, "cgroup_folders", lambda parent, sandbox: [tmp_path])
        assert AffinityActuator(PARENT).place("s", USABLE[-1:]) == ""
        assert os.sched_getaffinity(child.pid) == {USABLE[-1]}
        assert (tmp_path / "cpuset.cpus").read_text() == str(USABLE[-1])
    finally:
        child.kill()
        child.communicate()
    assert AffinityActuator(PARENT).place("s", USABLE[:1]) == "", "it ended meanwhile"
