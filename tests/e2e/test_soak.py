"""Goal: scaling from zero and back leaves nothing behind, however often it is done.

Some hundreds of cycles here; `make bench-soak` does 10,000.
"""

import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.instance import Instance, eventually, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

FUNCTIONS = [f"soak-{number}" for number in range(4)]
CYCLES = 60
"""Of each function."""
CONNECTIONS_KEPT = 16
"""Between provider, daemon and front door some connections stay open for the next request; far fewer than cycles."""
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Census:
    """What an instance holds."""

    processes: int
    descriptors: dict[str, int]
    mounts: int
    cgroups: int
    sandboxes: int
    leases: int

    @classmethod
    def of(cls, instance: Instance) -> "Census":
        assert instance.process is not None
        processes = instance.processes()
        mounts = Path(f"/proc/{instance.process.pid}/mountinfo").read_text()
        with closing(sqlite3.connect(instance.state_dir / "junctiond.db")) as database:
            (leases,) = database.execute("SELECT count(*) FROM leases").fetchone()
        parent = f"junctiond-{instance.root.name}"
        return cls(
            processes=len(processes),
            # Namespaces that are kept for the next sandbox are descriptors of the launcher process.
            descriptors=_descriptors([psutil.Process(instance.process.pid), *processes]),
            mounts=mounts.count(str(instance.root)),
            cgroups=sum(1 for top in CGROUPS.glob(f"*/{parent}") for _ in top.glob("*/")),
            sandboxes=len(list((instance.run_dir / "sandboxes").iterdir())),
            leases=leases,
        )


def _descriptors(processes: list[psutil.Process]) -> dict[str, int]:
    """By the command that has them."""
    found: dict[str, int] = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            command = " ".join(process.cmdline()[:3])
            found[command] = found.get(command, 0) + process.num_fds()
    return found


@pytest.fixture
def own(tmp_path, image):
    """An instance of the test's own, with the functions at zero replicas."""
    with running(tmp_path) as instance:
        with instance.api() as api:
            for name in FUNCTIONS:
                document = {"service": name, "image": image("aes")}
                answer = api.post("/system/functions", json=document)
                assert answer.status_code == 200, answer.text
                scale_to_zero(api, name)
        yield instance


def scale_to_zero(api: httpx.Client, name: str) -> None:
    document = {"serviceName": name, "replicas": 0}
    answer = api.post(f"/system/scale-function/{name}", json=document)
    assert answer.status_code in (200, 202), answer.text


def cycle(instance: Instance, name: str, times: int) -> None:
    with instance.api() as api:
        for _ in range(times):
            answer = api.post(f"/function/{name}", content=b"text")
            assert answer.status_code == 200, answer.text
            scale_to_zero(api, name)


def cycles(instance: Instance, times: int) -> None:
    with ThreadPoolExecutor(len(FUNCTIONS)) as workers:
        for done in [workers.submit(cycle, instance, name, times) for name in FUNCTIONS]:
            done.result()


def settled(instance: Instance) -> Census:
    """The census once no sandbox is left and nothing moves."""
    eventually(lambda: not instance.keepers(), 60)
    last = Census.of(instance)

    def still() -> bool:
        nonlocal last
        time.sleep(1)
        last, before = Census.of(instance), last
        return last == before

    eventually(still, 30)
    return last


def test_hundreds_of_cold_starts_leave_nothing(own: Instance) -> None:
    cycles(own, 5)  # Pools and caches fill once.
    before = settled(own)
    assert before.leases == before.sandboxes == before.cgroups == 0
    cycles(own, CYCLES)
    after = settled(own)
    assert replace(after, descriptors={}) == replace(before, descriptors={})
    for command, count in after.descriptors.items():
        kept = 0 if "jsandbox" in command else CONNECTIONS_KEPT
        assert count <= before.descriptors[command] + kept, command
