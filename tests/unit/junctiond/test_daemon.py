"""Goal: the daemon's promises, whole. Method: the real daemon, store and gRPC on fake launcher, data plane, images."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from junctiond.cores.host import usable_cores
from junctiond.daemon import AlreadyRunning, Daemon
from junctiond.dataplane.base import DataplaneError
from junctiond.dataplane.fake import FakeDataplane
from junctiond.dataplane.protocol import Function, Replica
from junctiond.domain import Deployment, EventKind, LogQuery, Namespace, Place, Resources
from junctiond.errors import HostError, Reason
from junctiond.images.base import ImageConfig, ImageError, ImageReason
from junctiond.store import Store
from junctiond.testing.fake_daemon import RunningHost, fake_parts, fake_settings, running

KEY = ("openfaas-fn", "one")
ONE = Deployment("one", "image:1", document=b"{}")


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that the daemon does by itself."""
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.005)


def nothing_left(host: RunningHost) -> bool:
    plane = host.parts.plane
    return not host.parts.world.sandboxes and KEY not in plane.functions


def routed(host: RunningHost) -> set[str]:
    return {one.sandbox for one in host.parts.plane.functions[KEY].replicas}


async def test_create_returns_a_function_that_is_routed_to(tmp_path: Path):
    async with running(tmp_path) as host:
        made = await host.client.create(ONE)
        assert (made.replicas, made.replicas_available, made.last_error) == (1, 1, "")
        (sandbox,) = host.parts.world.sandboxes
        assert host.parts.plane.functions[KEY].replicas == (Replica(sandbox, 8080),)
        spec = host.parts.world.launched[0]
        assert spec.process.argv == ("/handler",)
        assert spec.network.address.startswith("10.62.0.")
        assert "OPENFAAS_NAME=one" in spec.process.env
        (shown,) = await host.client.list_sandboxes()
        assert (shown.id, shown.state.value) == (sandbox, "ready")
        with pytest.raises(HostError) as caught:
            await host.client.create(ONE)
        assert caught.value.reason is Reason.FUNCTION_EXISTS


@pytest.mark.parametrize(
    ("deployment", "reason"),
    [
        (Deployment("One", "i"), Reason.BAD_NAME),
        (Deployment("one", "i", namespace="none"), Reason.NAMESPACE_UNKNOWN),
        (Deployment("one", "i", secrets=("none",)), Reason.SECRET_UNKNOWN),
        (Deployment("one", "i", limits=Resources("lots", "")), Reason.LIMITS_INVALID),
        (Deployment("one", "i", requests=Resources("", "x")), Reason.LIMITS_INVALID),
        (Deployment("one", ""), Reason.IMAGE_UNKNOWN),
        (Deployment("one", "unknown"), Reason.IMAGE_UNKNOWN),
        (Deployment("one", "empty"), Reason.DEPLOYMENT_INVALID),
        (Deployment("one", "i", env={"a=b": ""}), Reason.DEPLOYMENT_INVALID),
    ],
)
async def test_a_refused_deployment_leaves_nothing(tmp_path: Path, deployment, reason):
    async with running(tmp_path) as host:
        host.parts.image_store.known = {"i", "empty"}
        host.parts.image_store.configs["empty"] = ImageConfig()
        with pytest.raises(HostError) as caught:
            await host.client.create(deployment)
        assert caught.value.reason is reason
        assert await host.client.list_functions() == []
        assert nothing_left(host)
        assert not host.parts.world.launched


async def test_an_image_error_keeps_its_reason(tmp_path: Path):
    async with running(tmp_path) as host:
        host.parts.image_store.fail_next = ImageError(ImageReason.DENIED, "log in first")
        with pytest.raises(HostError, match="log in first") as caught:
            await host.client.create(ONE)
        assert caught.value.reason is Reason.REGISTRY_DENIED


async def test_a_function_that_never_listens_is_told_with_its_last_words(tmp_path: Path):
    async with running(tmp_path, ready_timeout_ms=1_500) as host:
        host.parts.plane.auto_ready = False
        pending = asyncio.gather(host.client.create(ONE), return_exceptions=True)
        await until(lambda: bool(host.parts.world.launched))
        log = Path(host.parts.world.launched[0].log.path)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text('{"t":1,"s":"err","m":"cannot bind"}\n')
        (error,) = await pending
        assert isinstance(error, HostError)
        assert error.reason is Reason.NOT_READY
        assert "port 8080" in error.message
        assert "cannot bind" in error.message
        await until(lambda: nothing_left(host))
        host.parts.plane.auto_ready = True
        assert (await host.client.create(ONE)).replicas_available == 1


async def test_a_program_that_cannot_start_is_told(tmp_path: Path):
    async with running(tmp_path) as host:
        host.parts.world.fail_next.append("/handler: no such file")
        with pytest.raises(HostError, match="no such file") as caught:
            await host.client.create(ONE)
        assert caught.value.reason is Reason.LAUNCH_FAILED
        await until(lambda: nothing_left(host))
        host.parts.world.refuse_next = "no memory for a process"
        with pytest.raises(HostError, match="no memory"):
            await host.client.create(ONE)


async def test_a_caller_that_goes_away_leaves_nothing(tmp_path: Path):
    async with running(tmp_path, ready_timeout_ms=20_000) as host:
        host.parts.plane.auto_ready = False
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await host.client.create(ONE)
        await until(lambda: nothing_left(host))
        assert await host.client.list_functions() == []


async def test_an_update_never_has_fewer_ready_replicas(tmp_path: Path):
    async with running(tmp_path) as host:
        plane = host.parts.plane
        await host.client.create(ONE)
        await host.client.start("one", "", 3)
        await until(lambda: len(plane.functions[KEY].replicas) == 3)
        del plane.history[:]
        made = await host.client.update(Deployment("one", "image:2"))
        assert (made.deployment.image, made.replicas) == ("image:2", 3)
        await until(lambda: len(host.parts.world.sandboxes) == 3)
        serving = [sum(not one.draining for one in put.replicas) for put in plane.history]
        assert min(serving) >= 3
        newest = {spec.id for spec in host.parts.world.launched[3:]}
        assert {one.sandbox for one in plane.functions[KEY].replicas} <= newest


async def test_an_update_that_fails_leaves_the_old_one_serving(tmp_path: Path):
    async with running(tmp_path) as host:
        await host.client.create(ONE)
        before = host.parts.plane.functions[KEY]
        host.parts.world.fail_next.append("exec format error")
        with pytest.raises(HostError, match="exec format error"):
            await host.client.update(Deployment("one", "image:2"))
        found = await host.client.get("one", "")
        assert (found.deployment, found.replicas_available) == (ONE, 1)
        assert host.parts.plane.functions[KEY] == before
        with pytest.raises(HostError) as caught:
            await host.client.update(Deployment("two", "image:2"))
        assert caught.value.reason is Reason.FUNCTION_UNKNOWN


async def test_what_is_in_flight_ends_before_a_replica_does(tmp_path: Path):
    async with running(tmp_path, drain_timeout_ms=20_000) as host:
        await host.client.create(ONE)
        (old,) = host.parts.world.sandboxes
        host.parts.plane.in_flight[old] = 1
        await host.client.update(Deployment("one", "image:2"))
        await asyncio.sleep(0.1)
        assert old in host.parts.world.sandboxes
        assert Replica(old, 8080, draining=True) in host.parts.plane.functions[KEY].replicas
        host.parts.plane.finish(old)
        await until(lambda: old not in host.parts.world.sandboxes)


async def test_a_crashed_replica_comes_back(tmp_path: Path):
    async with running(tmp_path) as host:
        await host.client.create(ONE)
        for _ in range(3):
            (sandbox,) = host.parts.world.sandboxes
            host.parts.world.end(sandbox, code=None, signal=11)
            await until(lambda: routed(host) not in (set(), {sandbox}))  # noqa: B023 - awaited here
        (shown,) = await host.client.list_sandboxes()
        assert shown.restarts == 3


async def test_scale_up_down_to_zero_and_back_when_wanted(tmp_path: Path):
    async with running(tmp_path) as host:
        await host.client.create(ONE)
        assert (await host.client.start("one", "", 4)).replicas == 4
        await until(lambda: len(host.parts.plane.functions[KEY].replicas) == 4)
        stopped = await host.client.stop("one", "")
        assert (stopped.replicas, stopped.replicas_available) == (0, 0)
        await until(lambda: not host.parts.world.sandboxes)
        assert host.parts.plane.functions[KEY].replicas == ()
        host.parts.plane.want("one", "openfaas-fn")
        await until(lambda: len(host.parts.plane.functions[KEY].replicas) == 1)
        assert (await host.client.get("one", "")).replicas == 1
        with pytest.raises(HostError) as caught:
            await host.client.start("one", "", 0)
        assert caught.value.reason is Reason.LIMITS_INVALID


async def test_delete_takes_route_row_sandbox_and_address(tmp_path: Path):
    async with running(tmp_path) as host:
        await host.client.create(ONE)
        await host.client.delete("one", "")
        assert KEY not in host.parts.plane.functions
        with pytest.raises(HostError) as caught:
            await host.client.get("one", "")
        assert caught.value.reason is Reason.FUNCTION_UNKNOWN
        assert (await host.client.create(ONE)).replicas_available == 1
        await until(lambda: len(host.parts.world.sandboxes) == 1)


async def test_a_restarted_daemon_takes_over_what_runs(tmp_path: Path):
    parts = fake_parts(tmp_path)
    async with running(tmp_path, parts, leave_running=True) as host:
        await host.client.create(ONE)
        (sandbox,) = parts.world.sandboxes
    assert not parts.world.sandboxes[sandbox].gone.is_set()
    del parts.plane.history[:]
    async with running(tmp_path, parts) as host:
        found = await host.client.get("one", "")
        assert (found.replicas_available, found.deployment) == (1, ONE)
        assert list(parts.world.sandboxes) == [sandbox]
        assert all(put.replicas for put in parts.plane.history), "a route was withdrawn"
    assert not parts.world.sandboxes


async def test_sandboxes_have_their_place_also_under_the_next_daemon(tmp_path: Path):
    if len(usable_cores()) < 2:
        pytest.skip("placement needs two cores")
    door = min(usable_cores())
    one_core = replace(ONE, annotations={"com.junctiond.cores": "one"})
    parts = fake_parts(tmp_path)
    async with running(tmp_path, parts, leave_running=True) as host:
        await host.client.create(one_core)
        assert parts.world.launched[0].cores == (door,)
        stats = await host.client.stats()
        assert stats.sandboxes[0].place == Place((door,), "paired", "beside its worker")
        assert (stats.placement, stats.cores) == ("balanced", tuple(sorted(usable_cores())))
        assert [one.name for one in stats.cpu] == ["one"]
    assert parts.kernel.placed == {}
    async with running(tmp_path, parts):
        (sandbox,) = parts.world.sandboxes
        assert parts.kernel.placed == {sandbox: (door,)}


async def test_after_a_reboot_everything_is_back_without_an_invocation(tmp_path: Path):
    parts = fake_parts(tmp_path)
    async with running(tmp_path, parts, leave_running=True) as host:
        await host.client.create(ONE)
        await host.client.start("one", "", 2)
    parts.world.reboot()
    parts.plane.functions.clear()
    async with running(tmp_path, parts) as host:
        await until(lambda: len(parts.plane.functions[KEY].replicas) == 2)
        assert (await host.client.get("one", "")).replicas == 2


async def test_strays_are_ended(tmp_path: Path):
    parts = fake_parts(tmp_path)
    async with running(tmp_path, parts, leave_running=True) as host:
        await host.client.create(ONE)
        (old,) = parts.world.sandboxes
    (tmp_path / "state" / "junctiond.db").unlink()
    for rest in (tmp_path / "state").glob("junctiond.db-*"):
        rest.unlink()
    async with running(tmp_path, parts) as host:
        await until(lambda: old not in parts.world.sandboxes)
        assert await host.client.list_functions() == []


async def test_a_sandbox_that_the_data_plane_cut_off_is_replaced(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("junctiond.registry.ATTACH_TIMEOUT_NS", 50_000_000)
    async with running(tmp_path) as host:
        await host.client.create(ONE)
        (old,) = host.parts.world.sandboxes
        host.parts.plane.cut_off(old)
        await until(lambda: list(host.parts.world.sandboxes) not in ([old], []))


async def test_watch_tells_of_every_change(tmp_path: Path):
    async with running(tmp_path) as host:
        async with aclosing(host.client.watch()) as events:
            await asyncio.sleep(0.05)
            await host.client.create(ONE)
            seen = await anext(events)
            while seen.function.replicas_available == 0:
                seen = await anext(events)
            await host.client.delete("one", "")
            async for event in events:
                if event.kind is EventKind.DELETED:
                    break


async def test_logs_follow_over_a_replacement(tmp_path: Path):
    async with running(tmp_path) as host:
        await host.client.create(ONE)

        def write(number: int, text: str) -> None:
            path = Path(host.parts.world.launched[number].log.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(f'{{"t":{number + 1},"s":"out","m":"{text}"}}\n')

        write(0, "first")
        async with aclosing(host.client.logs(LogQuery("one", follow=True))) as records:
            assert (await anext(records)).text == "first"
            host.parts.world.end(next(iter(host.parts.world.sandboxes)), code=1)
            await until(lambda: len(host.parts.world.launched) == 2)
            write(1, "second")
            assert (await anext(records)).text == "second"
            await host.client.delete("one", "")
            assert [record async for record in records] == []


async def test_namespaces_and_secrets(tmp_path: Path):
    async with running(tmp_path) as host:
        client = host.client
        await client.create_namespace(Namespace("dev", {"openfaas": "1"}))
        assert await client.put_secret("key", "dev", b"value")
        deployment = Deployment("one", "i", namespace="dev", secrets=("key",))
        await client.create(deployment)
        (secret,) = host.parts.world.launched[0].secrets
        assert Path(secret.source).read_bytes() == b"value"
        assert Path(secret.source).stat().st_mode & 0o777 == 0o400
        await client.delete_namespace("dev")
        assert await client.list_namespaces() == ["openfaas-fn"]
        assert not Path(secret.source).exists()
        with pytest.raises(HostError):
            await client.delete_namespace("openfaas-fn")


async def test_two_daemons_do_not_share_a_state(tmp_path: Path):
    parts = fake_parts(tmp_path)
    async with running(tmp_path, parts):
        settings = fake_settings(tmp_path)
        with pytest.raises(AlreadyRunning, match="junctiond down"):
            await Daemon(settings, parts).run(asyncio.Event())


async def test_a_full_disk_costs_no_function_that_runs(tmp_path: Path, monkeypatch):
    async with running(tmp_path) as host:
        await host.client.create(ONE)

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Store, "put_function", full)
            with pytest.raises(HostError, match="disk"):
                await host.client.create(Deployment("two", "image"))
            patched.setattr(Store, "add_lease", full)
            host.parts.world.end(next(iter(host.parts.world.sandboxes)), code=1)
            await until(lambda: not host.parts.world.sandboxes)
        await until(lambda: bool(routed(host)))


async def test_a_refused_route_is_put_again(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("junctiond.lifecycle.controller.RETRY_NS", 50_000_000)
    async with running(tmp_path) as host:
        refusals = [DataplaneError("bad_request", "no"), DataplaneError("bad_request", "no")]
        put = FakeDataplane.put_function

        async def refuse(plane: FakeDataplane, function: Function) -> None:
            if refusals:
                raise refusals.pop()
            await put(plane, function)

        monkeypatch.setattr(FakeDataplane, "put_function", refuse)
        assert (await host.client.create(ONE)).replicas_available == 1
        assert routed(host)


async def test_a_new_address_of_the_host_is_out_of_reach_too(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("junctiond.daemon.HOST_PERIOD_S", 0.01)
    async with running(tmp_path) as host:
        host.parts.platforms = 7
        plane = host.parts.plane
        await until(
            lambda: plane.platform is not None and plane.platform.egress.deny == ("192.0.2.7/32",)
        )
