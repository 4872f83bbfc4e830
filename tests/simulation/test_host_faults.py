"""Goal: whatever fails, in any order, the host keeps its promises and comes to rest as desired.

Method: the real store, registry, controllers and host on fake launcher, data plane and images, under virtual time. A seeded
script deploys, updates, scales and deletes while sandboxes crash, hang, refuse to start and are cut off, jnetd dies,
the daemon is killed and the machine reboots. The seed is in the test's name; the same seed gives the same run.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from junctiond.domain import Deployment
from junctiond.errors import HostError, Reason
from junctiond.host import Host
from junctiond.lifecycle.state import Phase
from junctiond.lifecycle.workshop import Workshop
from junctiond.logs import FunctionLogs
from junctiond.registry import FunctionRegistry
from junctiond.sandbox.fake import FakeLauncher
from junctiond.secrets import SecretFiles
from junctiond.store import Store
from junctiond.testing.fake_daemon import FakeParts, fake_parts, fake_settings
from junctiond.testing.virtual_time import VirtualTimeLoop, run

NAMES = ("a", "b", "c")
EXPECTED = frozenset(
    {
        Reason.FUNCTION_EXISTS,
        Reason.FUNCTION_UNKNOWN,
        Reason.NOT_READY,
        Reason.LAUNCH_FAILED,
    }
)


@dataclass
class Machine:
    """What outlives a daemon, and the daemon that runs now."""

    folder: Path
    loop: VirtualTimeLoop
    random: random.Random
    parts: FakeParts
    host: Host | None = None
    registry: FunctionRegistry | None = None
    workshop: Workshop | None = None
    wanted: dict[str, str] = field(default_factory=dict)
    """Image of every function whose caller was told that it is so."""
    unsure: Counter[str] = field(default_factory=Counter)
    """Operations under way, or never answered, per name."""

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[None]:
        """One daemon's life; it ends as by `kill -9`: nothing is stopped, nobody is told."""
        settings = fake_settings(self.folder, ready_timeout_ms=5_000, drain_timeout_ms=5_000)
        store = Store(settings.database)
        launcher = FakeLauncher(self.parts.world)
        secrets = SecretFiles(settings.function_secrets_dir)
        workshop = Workshop(
            settings,
            store,
            launcher,
            self.parts.image_store,
            secrets,
            FunctionLogs(settings.logs_dir),
            self.token,
        )
        async with asyncio.TaskGroup() as group:
            registry = FunctionRegistry(
                settings, store, workshop, self.parts.plane, group, self.loop.now_ns
            )
            self.host = Host(settings, store, registry, workshop, self.parts.plane, secrets)
            self.registry, self.workshop = registry, workshop
            self.parts.plane.told.clear()
            registry.restore(await launcher.adopt())
            await asyncio.sleep(0)
            connection = group.create_task(self.parts.plane.run(registry))
            self.learn()
            try:
                yield
            finally:
                connection.cancel()
                registry.abandon()
        store.close()

    def token(self) -> str:
        """Sandbox names that a seed reproduces."""
        return f"{self.random.getrandbits(32):08x}"

    # What users do.

    async def user(self, name: str) -> None:
        """One operation; its answer says what must be true afterwards."""
        assert self.host is not None
        operation = self.random.choice(("create", "create", "update", "scale", "stop", "delete"))
        image = f"image:{self.random.randrange(1000)}"
        self.unsure[name] += 1
        try:
            match operation:
                case "create":
                    await self.host.create(Deployment(name, image))
                    self.wanted[name] = image
                case "update":
                    await self.host.update(Deployment(name, image))
                    self.wanted[name] = image
                case "scale":
                    await self.host.start(name, "openfaas-fn", self.random.randrange(1, 5))
                case "stop":
                    await self.host.stop(name, "openfaas-fn")
                case "delete":
                    await self.host.delete(name, "openfaas-fn")
                    self.wanted.pop(name, None)
        except HostError as error:
            assert error.reason in EXPECTED, error
        self.unsure[name] -= 1

    # What fails.

    def fault(self) -> None:
        """One fault of the world."""
        world, plane = self.parts.world, self.parts.plane
        living = sorted(name for name, one in world.sandboxes.items() if not one.gone.is_set())
        victim = self.random.choice(living) if living else None
        match self.random.randrange(8):
            case 0 | 1 if victim:
                world.end(victim, code=1)
            case 2 if victim:
                plane.cut_off(victim)
            case 3:
                world.fail_next.append("exec format error")
            case 4:
                world.refuse_next = "no memory"
            case 5:
                plane.auto_ready = not plane.auto_ready
            case 6:
                world.deaf = not world.deaf
            case 7:
                plane.lose()

    def heal(self) -> None:
        """Faults stop."""
        world, plane = self.parts.world, self.parts.plane
        world.fail_next.clear()
        world.refuse_next, world.deaf = "", False
        plane.auto_ready = True
        self.reconnect()

    def reconnect(self) -> None:
        """jnetd is back: the client tells it everything, keepers attach."""
        self.parts.plane.reconnect()
        for name, one in self.parts.world.sandboxes.items():
            if not one.gone.is_set():
                self.parts.plane.listen(name)

    def learn(self) -> None:
        """After a restart, what nobody was told of is either so or not; from here on it stays."""
        assert self.registry is not None
        found = {one.key[1]: one for one in self.registry.functions()}
        for name in [name for name, count in self.unsure.items() if count]:
            self.wanted.pop(name, None)
            if name in found:
                current = found[name].current
                assert current is not None
                self.wanted[name] = current.deployment.image
        self.unsure.clear()

    # What must hold.

    def check_always(self) -> None:
        """Invariants of every moment."""
        assert self.workshop is not None
        assert self.registry is not None
        leases = self.workshop.leases()
        assert len({lease.slot for lease in leases}) == len(leases)
        leased = {lease.sandbox for lease in leases}
        assert set(self.parts.world.sandboxes) <= leased, "a sandbox without a lease"
        for function in self.parts.plane.told.values():
            for route in function.replicas:
                assert route.sandbox in leased, "a route to a sandbox that is forgotten"

    def check_rest(self) -> None:
        """What is true once faults have stopped for a while."""
        assert self.registry is not None
        assert self.workshop is not None
        found = {one.key[1]: one for one in self.registry.functions()}
        for name, image in self.wanted.items():
            if not self.unsure[name]:
                assert name in found, f"{name} was answered and is gone"
                current = found[name].current
                assert current is not None
                assert current.deployment.image == image
        assert set(found) <= set(self.wanted), "a function nobody was told of"
        living = 0
        for name, controller in found.items():
            phases = [one.phase for one in controller.observed.replicas]
            assert phases == [Phase.READY] * controller.desired.replicas, (name, phases)
            told = self.parts.plane.told["openfaas-fn", name]
            assert len(told.replicas) == controller.desired.replicas
            living += len(phases)
        assert len(self.parts.world.sandboxes) == living, "a sandbox leaked"
        assert len(self.workshop.leases()) == living, "an address leaked"
        assert {key[1] for key in self.parts.plane.told} == set(found), "a route leaked"


async def life(folder: Path, loop: VirtualTimeLoop, seed: int) -> None:
    machine = Machine(folder, loop, random.Random(seed), fake_parts(folder))
    for _ in range(4):
        async with machine.daemon(), asyncio.TaskGroup() as users:
            pending: list[asyncio.Task[None]] = []
            for _ in range(25):
                if machine.random.random() < 0.6:
                    name = machine.random.choice(NAMES)
                    pending.append(users.create_task(machine.user(name)))
                else:
                    machine.fault()
                await asyncio.sleep(machine.random.choice((0, 0.01, 0.3, 2)))
                if not machine.parts.plane.connected and machine.random.random() < 0.5:
                    machine.reconnect()
                machine.check_always()
            machine.heal()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(machine.random.choice((0.05, 60))):
                    await asyncio.gather(*pending, return_exceptions=True)
            if machine.random.random() < 0.5:
                assert machine.registry is not None
                machine.registry.abandon()
            for task in pending:
                task.cancel()
        if machine.random.random() < 0.3:
            machine.parts.world.reboot()
            machine.parts.plane.listening.clear()
    async with machine.daemon():
        machine.heal()
        await asyncio.sleep(600)
        machine.check_always()
        machine.check_rest()


@pytest.mark.parametrize("seed", range(25))
def test_the_host_comes_to_rest_as_desired(tmp_path: Path, seed: int):
    run(lambda loop: life(tmp_path, loop, seed))
