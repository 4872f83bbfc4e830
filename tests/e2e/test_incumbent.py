"""Goal: the stack that we are measured beside really runs, makes faasd's look-ups, and leaves nothing on the machine."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pyroute2 import IPRoute, netns

from loadtests.baselines import TargetFailed
from loadtests.incumbent.cold import first_200
from loadtests.incumbent.containerd import NEEDED
from loadtests.incumbent.network import CNI_CACHE, PLUGINS
from loadtests.incumbent.openfaas import CACHED, GATEWAY, PROVIDER, STOCK, OpenFaas, openfaas

INSTALLED = all(map(shutil.which, NEEDED)) and all(
    path.exists() for path in (GATEWAY, PROVIDER, PLUGINS)
)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not INSTALLED, reason="make bench-faasd installs containerd and OpenFaaS"),
]
BODY = b"x" * 600
COUNTED = 5


@pytest.fixture(scope="module")
def stack(
    function_images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenFaas]:
    with openfaas(tmp_path_factory.mktemp("incumbent") / "openfaas") as running:
        for function in ("aes", "aes-watchdog"):
            running.stock.deploy(function, function_images[function])
            first_200(running.stock, function)
        yield running


@pytest.mark.parametrize("function", ["aes", "aes-watchdog"])
@pytest.mark.parametrize(("mode", "lookups"), [(STOCK, 16), (CACHED, 0)])
def test_each_invocation_makes_the_look_ups_counted_on_faasd(
    stack: OpenFaas, mode: str, function: str, lookups: int
) -> None:
    gateway = stack.doors[mode].gateway
    first_200(gateway, function)
    counts = []
    for _ in range(
        4
    ):  # every five seconds each gateway lists all functions, which may fall into a count
        before = stack.lookups()
        for _ in range(COUNTED):
            status, body = gateway.invoke(function, BODY)
            assert (status, len(body)) == (200, len(BODY))
        counts.append(stack.lookups() - before)
    assert min(counts) == COUNTED * lookups


def test_a_function_at_zero_is_started_by_an_invocation(stack: OpenFaas) -> None:
    stack.stock.scale("aes", 0)
    stack.stock.wait_for_replicas("aes", 0)
    first_200(stack.stock, "aes")
    stack.stock.wait_for_replicas("aes", 1)


def test_a_cached_address_is_forgotten_when_the_function_moves(
    stack: OpenFaas, function_images: dict[str, str]
) -> None:
    cached = stack.doors[CACHED].gateway
    for _ in range(2):
        cached.deploy("moved", function_images["aes"])
        first_200(cached, "moved")
        cached.remove("moved")


def test_roles_name_every_process(stack: OpenFaas) -> None:
    roles = stack.platform(STOCK)
    assert {role: len(pids) for role, pids in roles.items()} == {
        "gateway": 1,
        "provider": 1,
        "containerd": 1,
        "shims": 2,
        "watchdog": 1,
        "function": 2,
    }


def test_nothing_is_left(function_images: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "openfaas"
    with openfaas(folder) as running:
        running.stock.deploy("aes", function_images["aes"])
        first_200(running.stock, "aes")
        name = running.containerd.namespace
        pids = [pid for pids in running.platform(STOCK).values() for pid in pids]
        assert len(pids) == 5
    assert not any(map(_lives, pids))
    assert str(folder) not in Path("/proc/self/mounts").read_text()
    assert [space for space in netns.listnetns() if space.startswith(name)] == []
    with IPRoute() as route:
        assert not route.link_lookup(ifname=name)
    assert list(CNI_CACHE.glob(f"{name}-*")) == []
    hierarchies = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")]
    assert [top for top in hierarchies if (top / name).exists()] == []


def _lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(TargetFailed, match="containerd-shim-runc-v2, runc not installed"),
        openfaas(tmp_path / "openfaas"),
    ):
        pass
    assert [path.name for path in (tmp_path / "openfaas").iterdir()] == ["secrets"]
