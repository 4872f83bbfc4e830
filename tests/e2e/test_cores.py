"""Goal: functions run where the placement says, and what it does can be seen. Method: the real processes' affinities."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from junctiond.cores.actuator import threads
from junctiond.cores.layout import Mode, plan
from junctiond.sandbox.remains import cgroup_folders
from tests.e2e.instance import Instance, eventually, free_port, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="placement needs two cores"),
]
LAYOUT = plan(Mode.BALANCED, os.sched_getaffinity(0))
OTHERS = tuple(core for core in LAYOUT.usable if core not in LAYOUT.doors)
FUNCTION = "burner"
ONE_CORE = {"com.junctiond.cores": "one"}
"""As on a host of two cores, so that the tests hold on every machine."""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """An instance of the test's own: its placement is looked at."""
    monkeypatch.setenv("JUNCTIOND_METRICS_LISTEN", f"127.0.0.1:{free_port()}")
    with running(tmp_path) as instance:
        yield instance


def deploy(own: Instance, image: str, annotations: dict[str, str]) -> None:
    document = {"service": FUNCTION, "image": image, "annotations": annotations}
    with own.api() as api:
        answer = api.post("/system/functions", json=document)
        assert answer.status_code == 200, answer.text


def stats(own: Instance) -> Any:
    command = [sys.executable, "-m", "junctiond.cli.app", "stats", "--json"]
    done = subprocess.run(command, env=own.environment, capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


def place(own: Instance) -> Any:
    (only,) = stats(own)["places"]
    return only


def affinities(own: Instance, sandbox: str) -> set[tuple[int, ...]]:
    """Where the threads of a function may run, as the kernel says. Process 1 of the sandbox is ours, and sleeps."""
    parent = own.environment["JUNCTIOND_CGROUP_PARENT"]
    state = json.loads((own.run_dir / "sandboxes" / sandbox / "state.json").read_text())
    found = set()
    for thread in threads(cgroup_folders(parent, sandbox)) - {state["init_pid"]}:
        try:
            found.add(tuple(sorted(os.sched_getaffinity(thread))))
        except ProcessLookupError:
            continue
    return found


def metric(line: str) -> float:
    """The value of one sample of the metrics page; 0 where it is not there."""
    page = httpx.get(f"http://{os.environ['JUNCTIOND_METRICS_LISTEN']}/metrics", timeout=10).text
    return next((float(one.split()[-1]) for one in page.splitlines() if one.startswith(line)), 0.0)


def test_a_function_starts_beside_its_worker(own: Instance, guest_image) -> None:
    deploy(own, guest_image(FUNCTION), ONE_CORE)
    assert own.invoke(FUNCTION).text.strip() == "1", "its runtime counts the core that it has"
    seen = stats(own)
    (worker, *_), (at,) = seen["workers"], seen["places"]
    assert (at["seat"], at["cores"]) == ("paired", [LAYOUT.doors[0]])
    assert worker["cores"] == [LAYOUT.doors[0]]
    assert os.sched_getaffinity(worker_thread(own)) == {LAYOUT.doors[0]}
    assert eventually(lambda: affinities(own, at["sandbox"]) == {tuple(at["cores"])})
    assert seen["placement"] == "balanced"
    assert seen["cores"] == list(LAYOUT.usable)


def worker_thread(own: Instance) -> int:
    return int(own.dataplane_statistics()["workers"][0]["thread"])


def test_a_burner_leaves_the_front_door_and_comes_home(own: Instance, guest_image) -> None:
    deploy(own, guest_image(FUNCTION), ONE_CORE)
    sandbox = place(own)["sandbox"]
    assert own.invoke(f"{FUNCTION}/burn?ms=30000").status_code == 200
    assert eventually(lambda: place(own)["seat"] == "spread", timeout_s=28)
    at = place(own)
    assert at["cores"] == list(OTHERS)
    assert at["reason"] == "computes more than it answers"
    assert eventually(lambda: affinities(own, sandbox) == {OTHERS})
    assert metric(f'junctiond_function_moves_total{{function_name="{FUNCTION}.') >= 1
    assert metric('junctiond_sandboxes{seat="spread"}') == 1
    assert eventually(lambda: place(own)["seat"] == "paired", timeout_s=60)
    assert eventually(lambda: affinities(own, sandbox) == {(LAYOUT.doors[0],)})


def test_a_granted_spin_reaches_the_rings_of_a_sandbox(own: Instance, image) -> None:
    with own.api() as api:
        document = {"service": FUNCTION, "image": image("hello")}
        assert api.post("/system/functions", json=document).status_code == 200
    sandbox = place(own)["sandbox"]
    for spin_us in (20, 0):
        answer = control(own, op="put_wake_policy", sandbox=sandbox, spin_us=spin_us)
        assert answer["ok"] == {}
        (counters,) = stats(own)["sandboxes"]
        assert counters["spin_ns"] == spin_us * 1000
        assert own.invoke(FUNCTION).status_code == 200
    refused = control(own, op="put_wake_policy", sandbox=sandbox, spin_us=51)
    assert refused["error"]["code"] == "bad_request"


def control(own: Instance, **request: object) -> Any:
    """One request to jnetd (docs/protocols.md, section 3)."""
    body = json.dumps({"id": 1, **request}).encode()
    with socket.socket(socket.AF_UNIX) as stream, stream.makefile("rb") as answers:
        stream.connect(str(own.run_dir / "control.sock"))
        stream.sendall(len(body).to_bytes(4, "little") + body)
        return json.loads(answers.read(int.from_bytes(answers.read(4), "little")))


def test_what_happened_is_counted(own: Instance, guest_image) -> None:
    deploy(own, guest_image(FUNCTION), {})
    for _ in range(50):
        assert own.invoke(FUNCTION).status_code == 200
    seen = stats(own)
    worker = seen["workers"][0]
    assert seen["functions"][0]["cpu_s"] > 0
    assert worker["run_s"] > 0
    assert worker["park_s"] > 0
    assert sum(one["requests"] for one in seen["workers"]) >= 50
    cpu_s = metric(f'junctiond_function_cpu_seconds_total{{function_name="{FUNCTION}.')
    assert cpu_s >= seen["functions"][0]["cpu_s"]
    with own.api() as api:
        api.post(f"/system/scale-function/{FUNCTION}", json={"replicas": 0})
    assert eventually(lambda: stats(own)["places"] == [])
    name = f'junctiond_function_cpu_seconds_total{{function_name="{FUNCTION}.'
    assert metric(name) >= cpu_s, "what replicas used stays counted when they are gone"


def test_placement_can_be_switched_off(
    own: Instance, guest_image, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.stop()
    monkeypatch.setenv("JUNCTIOND_PLACEMENT", "off")
    own.start()
    deploy(own, guest_image(FUNCTION), ONE_CORE)
    at = place(own)
    assert (at["seat"], at["cores"], at["reason"]) == ("free", [], "placement is off")
    assert affinities(own, at["sandbox"]) == {LAYOUT.usable}
    assert os.sched_getaffinity(worker_thread(own)) == set(LAYOUT.usable)
