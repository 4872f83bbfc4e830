"""Goal: whatever process dies, deployed functions serve again without anybody invoking them first."""

import shutil
import threading
import time

import httpx
import psutil
import pytest

from tests.e2e.instance import Instance, eventually, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
def own(tmp_path, image):
    """An instance of the test's own with `aes` deployed, since its processes are about to die."""
    with running(tmp_path) as instance:
        with instance.api() as api:
            answer = api.post("/system/functions", json={"service": "aes", "image": image("aes")})
            assert answer.status_code == 200, answer.text
        yield instance


def one(found: list[psutil.Process]) -> psutil.Process:
    assert len(found) == 1, found
    return found[0]


def provider_of(instance: Instance) -> psutil.Process:
    return one(instance.processes("--listen unix:"))


def data_plane_of(instance: Instance) -> psutil.Process:
    return one(instance.processes("jnetd --"))


def replicas(instance: Instance) -> int:
    with instance.api() as api:
        return int(api.get("/system/function/aes").json().get("availableReplicas", 0))


def test_functions_serve_on_while_every_python_process_is_dead(own: Instance) -> None:
    provider = provider_of(own)
    own.kill_daemon()
    if provider.is_running():
        provider.kill()
    for _ in range(50):
        assert own.invoke("aes", b"text").status_code == 200


def test_a_new_daemon_adopts_what_runs(own: Instance) -> None:
    keeper = one(own.keepers()).pid
    own.kill_daemon()
    own.start()
    assert eventually(lambda: replicas(own) == 1)
    assert one(own.keepers()).pid == keeper
    assert own.invoke("aes", b"text").status_code == 200


def test_a_killed_data_plane_comes_back_and_functions_keep_running(own: Instance) -> None:
    keeper, jnetd = one(own.keepers()).pid, data_plane_of(own).pid

    def serves() -> bool:
        try:
            return own.invoke("aes", b"text").status_code == 200
        except httpx.HTTPError:
            return False

    psutil.Process(jnetd).kill()
    eventually(serves)
    assert one(own.keepers()).pid == keeper
    assert data_plane_of(own).pid != jnetd


def test_a_killed_provider_comes_back(own: Instance) -> None:
    provider_of(own).kill()
    own.wait_healthy()
    assert replicas(own) == 1


def test_a_killed_keeper_takes_its_sandbox_along_and_is_replaced(own: Instance) -> None:
    keeper = one(own.keepers())
    children = keeper.children(recursive=True)
    keeper.kill()
    eventually(
        lambda: not any(child.is_running() and child.status() != "zombie" for child in children)
    )
    eventually(lambda: any(process.pid != keeper.pid for process in own.keepers()))
    eventually(lambda: own.invoke("aes", b"text").status_code == 200)


def test_a_killed_launcher_leaves_its_sandboxes_and_comes_back(own: Instance) -> None:
    keeper = one(own.keepers()).pid
    launcher = one(own.processes("jsandbox serve"))
    launcher.kill()
    eventually(lambda: not launcher.is_running() or launcher.status() == "zombie")
    assert own.invoke("aes", b"text").status_code == 200
    with own.api() as api:
        document = {"serviceName": "aes", "replicas": 2}
        answer = api.post("/system/scale-function/aes", json=document)
        assert answer.status_code == 200, answer.text
        eventually(lambda: replicas(own) == 2)
        assert keeper in {process.pid for process in own.keepers()}
        assert one(own.processes("jsandbox serve")).pid != launcher.pid
        api.post("/system/scale-function/aes", json={"serviceName": "aes", "replicas": 0})
        eventually(lambda: not own.keepers())
    assert own.invoke("aes", b"from zero").status_code == 200


def test_after_a_reboot_everything_is_back_without_an_invocation(own: Instance) -> None:
    own.kill_daemon()
    for process in own.processes():
        if process.is_running():
            process.kill()
    eventually(lambda: not own.processes())
    shutil.rmtree(own.run_dir)
    own.start()
    assert eventually(lambda: replicas(own) == 1)
    assert own.invoke("aes", b"text").status_code == 200


def test_stopping_leaves_nothing_behind(own: Instance) -> None:
    own.stop()
    assert not own.processes()
    for line in psutil.disk_partitions(all=True):
        assert str(own.root) not in line.mountpoint


def test_an_update_under_load_fails_no_invocation(own: Instance) -> None:
    stop, statuses = threading.Event(), []

    def load() -> None:
        with httpx.Client(base_url=own.url) as client:
            while not stop.is_set():
                statuses.append(client.post("/function/aes", content=b"text").status_code)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    with own.api() as api:
        current = api.get("/system/function/aes").json()
        for generation in range(4):
            answer = api.put(
                "/system/functions",
                json={
                    "service": "aes",
                    "image": current["image"],
                    "annotations": {"generation": str(generation)},
                },
            )
            assert answer.status_code == 200, answer.text
            time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 100
    assert set(statuses) == {200}


def test_scaling_up_down_to_zero_and_back(own: Instance) -> None:
    with own.api() as api:

        def scale(count: int) -> None:
            answer = api.post(
                "/system/scale-function/aes", json={"serviceName": "aes", "replicas": count}
            )
            assert answer.status_code == 200, answer.text

        scale(3)
        eventually(lambda: replicas(own) == 3)
        assert len(own.keepers()) == 3
        scale(0)
        eventually(lambda: not own.keepers())
        assert replicas(own) == 0
    assert own.invoke("aes", b"from zero").status_code == 200
    assert replicas(own) >= 1
