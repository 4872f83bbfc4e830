"""The composition root: every part of the daemon, put together and started in order.

Start: lock, store, running sandboxes, controllers, data plane, host API, provider. The order is what lets an
invocation go on while the daemon restarts: routes are known again before anything is told to jnetd.
Stop: host API and provider first, then (unless they are to be left running) sandboxes, then jnetd.
"""

import asyncio
import contextlib
import fcntl
import gc
import ipaddress
import logging
import os
import random
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import grpc
import uvloop
from pyroute2.netlink.exceptions import NetlinkError

from junctiond import eventlog
from junctiond.api.service import serve
from junctiond.cores.actuator import AffinityActuator
from junctiond.cores.base import Actuator
from junctiond.cores.host import layout_of, restrict
from junctiond.cores.layout import Layout, show_cores
from junctiond.cores.sampler import Sampler
from junctiond.cores.steward import Sampling, Steward
from junctiond.dataplane.base import Dataplane, DataplaneError
from junctiond.dataplane.client import DataplaneClient
from junctiond.dataplane.process import DataplaneProcess
from junctiond.dataplane.protocol import Egress, Platform
from junctiond.errors import HostError
from junctiond.host import Host
from junctiond.images.base import ImageStore
from junctiond.images.store import OciImageStore
from junctiond.lifecycle.workshop import Workshop
from junctiond.logs import FunctionLogs
from junctiond.network import host as host_network
from junctiond.network.ipam import AddressPlan
from junctiond.registry import FunctionRegistry
from junctiond.sandbox.base import Launcher
from junctiond.sandbox.launcher import ProcessLauncher
from junctiond.sandbox.spec import GATEWAY_NAMES
from junctiond.secrets import SecretFiles
from junctiond.settings import Settings, SettingsError
from junctiond.snapshots.maker import SnapshotMaker
from junctiond.snapshots.shelf import Shelf
from junctiond.store import Store, StoreError
from junctiond.supervisor import Supervisor, child_environment, provider_command

logger = logging.getLogger(__name__)

DESCRIPTORS_WANTED = 1_048_576
COLLECT_PERIOD_S = 600.0
HOST_PERIOD_S = 10.0
API_GRACE_S = 1.0
GATEWAY_PORT = 8080
"""Where functions find the gateway, whatever port the host's own door has."""


class AlreadyRunning(Exception):
    """Another daemon holds this state or run directory."""


class Parts(Protocol):
    """The adapters a daemon is built from; tests bring fakes."""

    async def launcher(self) -> Launcher:
        """The launcher."""
        ...

    async def images(self) -> ImageStore:
        """The image store."""
        ...

    async def dataplane(self) -> Dataplane:
        """The data plane's client."""
        ...

    async def platform(self) -> Platform:
        """What sandboxes see of this host now."""
        ...

    def dataplane_process(self) -> DataplaneProcess | None:
        """The data plane's process, where the daemon is to run it."""
        ...

    def sampler(self, layout: Layout) -> Sampling:
        """What looks at cores."""
        ...

    def actuator(self) -> Actuator:
        """What moves sandboxes."""
        ...


@dataclass(frozen=True, slots=True)
class HostParts:
    """The adapters of a real host."""

    settings: Settings

    async def launcher(self) -> Launcher:
        """See `Parts`."""
        settings = self.settings
        return ProcessLauncher(
            settings.binary("jsandbox"), settings.sandboxes_dir, settings.cgroup_parent
        )

    async def images(self) -> ImageStore:
        """See `Parts`."""
        settings = self.settings
        config = settings.docker_config if settings.docker_config.is_file() else None
        plain = frozenset(settings.plain_http_registries)
        return OciImageStore(settings.state_dir, authfile=config, plain_http_registries=plain)

    async def dataplane(self) -> Dataplane:
        """See `Parts`."""
        return DataplaneClient(self.settings.control_socket, await self.platform())

    async def platform(self) -> Platform:
        """See `Parts`."""
        return await platform(self.settings)

    def dataplane_process(self) -> DataplaneProcess | None:
        """See `Parts`."""
        return DataplaneProcess(self.settings, random.Random())

    def sampler(self, layout: Layout) -> Sampling:
        """See `Parts`."""
        return Sampler(layout.usable, layout.doors, self.settings.cgroup_parent)

    def actuator(self) -> Actuator:
        """See `Parts`."""
        return AffinityActuator(self.settings.cgroup_parent)


async def platform(settings: Settings) -> Platform:
    """What sandboxes see of this host."""
    gateway = AddressPlan(ipaddress.IPv4Network(settings.network), settings.uid_base).gateway
    own = await host_network.addresses()
    denied = host_network.denied(own, settings.network, settings.egress_deny)
    upstreams = settings.dns_upstreams or host_network.dns_upstreams(settings.resolv_conf)
    return Platform(
        gateway=gateway,
        gateway_port=GATEWAY_PORT,
        dns_upstreams=tuple(upstreams),
        hosts=dict.fromkeys(GATEWAY_NAMES, gateway),
        egress=Egress(settings.egress_allow, tuple(denied)),
    )


class Daemon:
    """One host, from its locks to its last sandbox."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._random = random.Random()

    async def run(self, stopping: asyncio.Event, started: asyncio.Event | None = None) -> None:
        """Runs until `stopping` is set; `started` is set once the host API answers.

        Raises:
            AlreadyRunning, SettingsError, StoreError, HostError: it could not start.
        """
        settings = self._settings
        for folder in (settings.state_dir, settings.run_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(settings.state_dir), locked(settings.run_dir):
            with contextlib.closing(Store(settings.database)) as store:
                async with asyncio.TaskGroup() as group:
                    await self._serve(store, group, stopping, started)

    async def _serve(
        self,
        store: Store,
        group: asyncio.TaskGroup,
        stopping: asyncio.Event,
        started: asyncio.Event | None,
    ) -> None:
        settings = self._settings
        store.defer(asyncio.get_running_loop().call_later)
        launcher = await self._parts.launcher()
        images = await self._parts.images()
        dataplane = await self._parts.dataplane()
        plane = self._parts.dataplane_process()
        if plane is not None:
            plane.check()
        secret_files = SecretFiles(settings.function_secrets_dir)
        logs = FunctionLogs(settings.logs_dir)
        steward = self._steward(dataplane)
        shelf = Shelf(settings.snapshots_dir, settings.restorer())
        workshop = Workshop(
            *(settings, store, launcher, images, secret_files, logs), seats=steward, shelf=shelf
        )
        maker = SnapshotMaker(settings, workshop, launcher, dataplane, shelf)
        workshop.snapshots = maker
        deployments = [row.deployment for row in store.functions()]
        shelf.retain((one.namespace, one.name) for one in deployments)
        registry = FunctionRegistry(settings, store, workshop, dataplane, group)
        host = Host(settings, store, registry, workshop, dataplane, secret_files, steward)

        registry.restore(await launcher.adopt())
        # One round of the loop: every controller has told the client its routes before jnetd hears of any.
        await asyncio.sleep(0)
        tasks = [group.create_task(dataplane.run(registry))]
        if plane is not None:
            tasks.append(group.create_task(plane.run()))
        tasks.append(group.create_task(self._collect(images, store, registry)))
        tasks.append(group.create_task(self._follow_host(dataplane)))
        tasks.append(group.create_task(steward.run()))
        tasks.append(group.create_task(maker.run()))
        server = await serve(host, settings.host_socket)
        if settings.run_provider:
            tasks.append(group.create_task(self._provider().run()))
        logger.info("junctiond started", extra={"fields": {"listen": settings.listen}})
        # What is here now stays: later collections need not look at it again.
        gc.collect()
        gc.freeze()
        if started is not None:
            started.set()
        await stopping.wait()
        await self._stop(server, tasks, registry, launcher, plane)

    async def _stop(
        self,
        server: grpc.aio.Server,
        tasks: list[asyncio.Task[None]],
        registry: FunctionRegistry,
        launcher: Launcher,
        plane: DataplaneProcess | None,
    ) -> None:
        logger.info("junctiond stops", extra={"fields": {"leave": self._settings.leave_running}})
        await server.stop(grace=API_GRACE_S)
        if self._settings.leave_running:
            registry.abandon()
            await _cancelled(tasks)
            launcher.close()
            return
        await registry.stop()
        await _cancelled(tasks)
        launcher.close()
        if plane is not None:
            await plane.stop()

    def _provider(self) -> Supervisor:
        environment = child_environment(self._settings.environment)
        return Supervisor("provider", provider_command(self._settings), environment, self._random)

    def _steward(self, dataplane: Dataplane) -> Steward:
        settings = self._settings
        layout = layout_of(settings)
        fields = {
            "placement": layout.mode.value,
            "cores": show_cores(layout.usable),
            "workers": show_cores(layout.doors),
        }
        logger.info("cores", extra={"fields": fields})
        return Steward(layout, self._parts.sampler(layout), self._parts.actuator(), dataplane)

    async def _follow_host(self, dataplane: Dataplane) -> None:
        """Keeps what sandboxes may reach true while the host's own addresses and resolvers change."""
        while True:
            await asyncio.sleep(HOST_PERIOD_S)
            try:
                await dataplane.set_platform(await self._parts.platform())
            except (OSError, NetlinkError, DataplaneError) as error:
                logger.error("host network unknown", extra={"fields": {"error": str(error)}})

    async def _collect(self, images: ImageStore, store: Store, registry: FunctionRegistry) -> None:
        """Lets unused images go, now and then."""
        while True:
            await asyncio.sleep(COLLECT_PERIOD_S)
            used = {row.image.digest for row in store.functions()} | registry.images_on_trial()
            try:
                await images.release_unused(used)
            except OSError as error:
                logger.error("images not collected", extra={"fields": {"error": str(error)}})


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for one daemon; the kernel lets go of the lock when the process ends.

    Raises:
        AlreadyRunning: another daemon holds it.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise AlreadyRunning(
            f"another junctiond uses {folder}; stop it (junctiond down) or choose other folders"
        ) from error
    finally:
        os.close(handle)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def main(settings: Settings) -> int:
    """Runs the daemon of this host until SIGTERM or SIGINT; returns the exit status."""
    eventlog.configure()
    settings = with_descriptors(settings)
    failed: list[BaseException] = []
    try:
        restrict(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signal(settings))
    except* (AlreadyRunning, SettingsError, StoreError, HostError, OSError) as errors:
        failed = list(_leaves(errors))
    for error in failed:
        sys.stderr.write(f"junctiond: {error}\n")
    return 1 if failed else 0


def with_descriptors(settings: Settings) -> Settings:
    """Raises this process's limit of open files, which keepers and jnetd inherit, as far as the kernel lets it.

    jnetd holds both ends of every connection of every sandbox. A sandbox cannot be given more than its keeper has, so
    `nofile_max` becomes what is possible (a root without CAP_SYS_RESOURCE, as in some containers, raises nothing).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (max(DESCRIPTORS_WANTED, hard), hard):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            hard = wanted
            break
    if settings.nofile_max <= hard:
        return settings
    fields = {"nofile_max": settings.nofile_max, "possible": hard}
    logger.warning("fewer open files than wanted", extra={"fields": fields})
    return replace(settings, nofile_max=hard)


async def _until_signal(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await Daemon(settings, HostParts(settings)).run(stopping)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
