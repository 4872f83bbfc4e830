"""The real daemon on fake parts: no process, no socket but the host API's, no registry.

async with running(tmp_path) as host:
    await host.client.create(Deployment("a", "image"))
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from junctiond.api.client import HostClient
from junctiond.cores.base import Actuator
from junctiond.cores.fake import FakeCores
from junctiond.cores.layout import Layout
from junctiond.cores.steward import Sampling
from junctiond.daemon import Daemon
from junctiond.dataplane.base import Dataplane
from junctiond.dataplane.fake import FakeDataplane
from junctiond.dataplane.process import DataplaneProcess
from junctiond.dataplane.protocol import Egress, Platform
from junctiond.images.base import ImageStore
from junctiond.sandbox.base import Launcher
from junctiond.sandbox.fake import FakeLauncher, FakeWorld
from junctiond.settings import Settings, load
from junctiond.testing.fake_images import FakeImages


@dataclass(slots=True)
class FakeParts:
    """What outlives a daemon: the world of sandboxes, the data plane, the images."""

    world: FakeWorld
    plane: FakeDataplane
    image_store: FakeImages
    platforms: int = field(default=0)
    """Changes when the host's address does."""
    kernel: FakeCores = field(default_factory=FakeCores)

    async def launcher(self) -> Launcher:
        """See `junctiond.daemon.Parts`."""
        return FakeLauncher(self.world)

    async def images(self) -> ImageStore:
        """See `junctiond.daemon.Parts`."""
        return self.image_store

    async def dataplane(self) -> Dataplane:
        """See `junctiond.daemon.Parts`."""
        return self.plane

    async def platform(self) -> Platform:
        """See `junctiond.daemon.Parts`."""
        return Platform(
            gateway="10.62.0.1",
            gateway_port=8080,
            dns_upstreams=(),
            hosts={},
            egress=Egress(False, (f"192.0.2.{self.platforms}/32",)),
        )

    def dataplane_process(self) -> DataplaneProcess | None:
        """See `junctiond.daemon.Parts`."""
        return None

    def sampler(self, layout: Layout) -> Sampling:
        """See `junctiond.daemon.Parts`."""
        return self.kernel

    def actuator(self) -> Actuator:
        """See `junctiond.daemon.Parts`."""
        return self.kernel


@dataclass(slots=True)
class RunningHost:
    """A daemon that runs, and handles to what it runs on."""

    settings: Settings
    parts: FakeParts
    client: HostClient


def fake_settings(folder: Path, **explicit: object) -> Settings:
    """Settings for a daemon below one folder, with short times."""
    values: dict[str, object] = {
        "state_dir": folder / "state",
        "run_dir": folder / "run",
        "run_provider": False,
        "ready_timeout_ms": 10_000,
        "drain_timeout_ms": 400,
        "grace_ms": 200,
        "restart_backoff_ms_max": 200,
        "leave_running": False,
    }
    return load(**(values | explicit))  # type: ignore[arg-type]


def fake_parts(folder: Path) -> FakeParts:
    """Parts that a sequence of daemons can share."""
    return FakeParts(FakeWorld(), FakeDataplane(), FakeImages(folder / "layer"))


@asynccontextmanager
async def running(
    folder: Path, parts: FakeParts | None = None, **explicit: object
) -> AsyncIterator[RunningHost]:
    """A daemon that is stopped on leaving."""
    settings = fake_settings(folder, **explicit)
    parts = parts or fake_parts(folder)
    stopping, started = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(Daemon(settings, parts).run(stopping, started))
        await started.wait()
        try:
            async with HostClient(settings.host_socket) as client:
                yield RunningHost(settings, parts, client)
        finally:
            stopping.set()
