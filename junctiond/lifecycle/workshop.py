"""Where sandboxes are made and unmade: leases an address, writes the specification, starts the keeper, cleans up.

Shared by all functions; it knows no lifecycle, only one sandbox at a time.
"""

import ipaddress
import os
import secrets as randomness
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from junctiond.cores.base import Seats
from junctiond.errors import HostError, Reason
from junctiond.golang.copies import GoCopies
from junctiond.images.base import Image, ImageError, ImageStore
from junctiond.lifecycle.generation import Generation
from junctiond.logs import FunctionLogs
from junctiond.network.ipam import AddressPlan, next_slot
from junctiond.sandbox import spec as specs
from junctiond.sandbox.base import Exit, KeeperState, Launcher, LaunchError
from junctiond.sandbox.plan import JINIT_TARGET
from junctiond.secrets import SecretFiles
from junctiond.settings import Settings, SettingsError
from junctiond.snapshots.base import SnapshotMaker
from junctiond.snapshots.shelf import Shelf
from junctiond.store import Lease, Store
from junctiond.usage import UsageMeter

TEMPLATES_MAX = 4096
"""Functions whose specification is remembered."""
LOG_LINES_IN_ERRORS = 10
LOG_LINE_CHARS_IN_ERRORS = 300


@dataclass(frozen=True, slots=True)
class Template:
    """What the specifications of all replicas of one generation share."""

    generation: int
    spec: specs.SandboxSpec

    def holds(self) -> bool:
        """Whether all that it names is still on disk; layers may be lost, and shims replaced."""
        layers, binds = self.spec.rootfs.layers, self.spec.binds
        sources = (one.source for one in binds)
        return all(map(os.path.isdir, layers)) and all(map(os.path.exists, sources))


class Workshop:
    """Makes and unmakes sandboxes."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        launcher: Launcher,
        images: ImageStore,
        secret_files: SecretFiles,
        logs: FunctionLogs,
        token: Callable[[], str] = lambda: randomness.token_hex(4),
        seats: Seats | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._launcher = launcher
        self._images = images
        self._secrets = secret_files
        self._token = token
        self._seats = seats
        self.shelf = shelf or Shelf(settings.snapshots_dir, None)
        self.snapshots: SnapshotMaker | None = None
        """Hears of every new replica, where there is one."""
        self._launched: dict[str, tuple[Generation, specs.SandboxSpec]] = {}
        self._templates: dict[tuple[str, str], Template] = {}
        self._sandboxes_dir = str(settings.sandboxes_dir)
        self._logs_dir = str(settings.logs_dir)
        go_shim = settings.go_shim()
        self._go = GoCopies(settings.go_copies_dir, go_shim) if go_shim else None
        self.logs = logs
        self.meter = UsageMeter(settings.cgroup_parent)
        network = ipaddress.IPv4Network(settings.network)
        self.addresses = AddressPlan(network, settings.uid_base)
        self._leases = {lease.sandbox: lease for lease in store.leases()}
        self._slots = {lease.slot for lease in self._leases.values()}
        self._last_slot = max(self._slots, default=-1)

    def lease(self, sandbox: str) -> Lease | None:
        """The lease of a sandbox."""
        return self._leases.get(sandbox)

    def leases(self) -> list[Lease]:
        """All leases."""
        return list(self._leases.values())

    def begin(self, generation: Generation) -> Lease:
        """Names a new sandbox and leases what it needs.

        Raises:
            HostError: there is no address left.
        """
        slot = next_slot(self.addresses, self._slots, self._last_slot)
        name, namespace = generation.deployment.name, generation.deployment.namespace
        lease = Lease(
            sandbox=f"{name}.{namespace}.{self._token()}",
            namespace=namespace,
            name=name,
            generation=generation.number,
            slot=slot,
            port=generation.plan.port,
            launched_at_ns=time.time_ns(),
        )
        self._store.add_lease(lease)
        self._leases[lease.sandbox] = lease
        self._slots.add(slot)
        self._last_slot = slot
        self.meter.begin(lease.sandbox)
        return lease

    async def launch(self, lease: Lease, generation: Generation) -> Exit:
        """Starts the sandbox of a lease and waits until it is gone."""
        try:
            spec = await self.specification(lease, generation)
            self._launched[lease.sandbox] = (generation, spec)
            owner = (lease.namespace, lease.name)
            choice = generation.plan.snapshot
            await self._launcher.launch(self.shelf.apply(spec, owner, choice))
        except (LaunchError, HostError, SettingsError) as error:
            return Exit(str(error), failed=True)
        return await self.wait(lease.sandbox)

    async def specification(self, lease: Lease, generation: Generation) -> specs.SandboxSpec:
        """What the keeper of a lease is told.

        Raises:
            HostError, SettingsError: the image or a binary cannot be had.
        """
        owner = (lease.namespace, lease.name)
        template = self._templates.get(owner)
        if template is None or template.generation != generation.number or not template.holds():
            template = await self._template(lease, generation)
            self._templates.pop(owner, None)
            while len(self._templates) >= TEMPLATES_MAX:
                del self._templates[next(iter(self._templates))]
            self._templates[owner] = template
        return specs.replica_of(
            template.spec,
            lease.sandbox,
            run_dir=f"{self._sandboxes_dir}/{lease.sandbox}",
            log=f"{self._logs_dir}/{lease.namespace}/{lease.name}/{lease.sandbox}.log",
            address=self.addresses.address(lease.slot),
            uid_base=self.addresses.uid(lease.slot),
            secrets=self.find_secrets(lease.namespace, generation.deployment.secrets),
            cores=self._cores(lease, generation),
        )

    async def wait(self, sandbox: str) -> Exit:
        """Waits until a sandbox is gone."""
        return await self._launcher.wait(sandbox)

    def note_ready(self, sandbox: str) -> None:
        """Remembers across restarts of the daemon that a sandbox accepts connections."""
        lease = self._leases.get(sandbox)
        if lease is not None and not lease.ready_at_ns:
            ready_at_ns = time.time_ns()
            self._store.set_ready(sandbox, ready_at_ns)
            lease = self._leases[sandbox] = replace(lease, ready_at_ns=ready_at_ns)
            launched = self._launched.pop(sandbox, None)
            if (
                launched is not None
                and self.snapshots is not None
                and self.snapshots.cares(*launched)
            ):
                self.snapshots.consider(lease, *launched, self._launcher.state(sandbox))

    def stop(self, sandbox: str) -> None:
        """SIGTERM, then SIGKILL after its grace."""
        self._launcher.stop(sandbox)

    def kill(self, sandbox: str) -> None:
        """SIGKILL at once."""
        self.meter.note(sandbox)  # nobody will say afterwards what it used
        self._launcher.kill(sandbox)

    def state(self, sandbox: str) -> KeeperState | None:
        """What the keeper wrote last."""
        return self._launcher.state(sandbox)

    async def forget(self, sandbox: str) -> None:
        """Cleans up after a sandbox that is gone and gives its lease back, in this order."""
        state = self._launcher.state(sandbox)
        if state is not None and state.cpu_ns is not None:
            self.meter.settle(sandbox, state.cpu_ns)
        await self._launcher.forget(sandbox)
        self._launched.pop(sandbox, None)
        self._store.drop_lease(sandbox)
        lease = self._leases.pop(sandbox, None)
        if lease is not None:
            self.meter.retire(sandbox, (lease.namespace, lease.name))
        if self._seats is not None:
            self._seats.leave(sandbox)
        if lease is not None:
            self._slots.discard(lease.slot)
            keep = self._settings.logs_per_function_max
            self.logs.prune(lease.namespace, lease.name, keep, self._leases.keys())

    def last_lines(self, sandbox: str) -> str:
        """The last log lines of a sandbox as an error message shows them; empty where there are none."""
        lease = self._leases.get(sandbox)
        if lease is None:
            return ""
        lines = self.logs.last_lines(lease.namespace, lease.name, sandbox, LOG_LINES_IN_ERRORS)
        if not lines:
            return ""
        cut = [line[:LOG_LINE_CHARS_IN_ERRORS] for line in lines]
        return "; its last log lines:\n" + "\n".join(cut)

    async def resolve(self, reference: str) -> Image:
        """The image of a reference, pulled where needed.

        Raises:
            HostError: with the image store's reason.
        """
        try:
            return await self._images.resolve(reference)
        except ImageError as error:
            raise HostError(Reason(error.reason.value), error.message) from error

    async def _present(self, image: Image) -> Image:
        """The image with its layers on disk: after a loss of the layers it is pulled again."""
        if all(map(os.path.isdir, image.layers)):
            return image
        return await self.resolve(image.reference)

    async def _template(self, lease: Lease, generation: Generation) -> Template:
        image = await self._present(generation.image)
        forks = generation.plan.argv[0] == JINIT_TARGET
        spec = specs.build(
            self._settings,
            lease.sandbox,
            generation.deployment,
            image,
            generation.plan,
            address="",
            gateway=self.addresses.gateway,
            uid_base=0,
            secrets=(),
            jinit=self._settings.binary("jinit") if forks else None,
            shim=self._settings.shim(),
        )
        bind = await self._go.bind(generation.plan, image.layers) if self._go else None
        return Template(generation.number, specs.bound(spec, bind) if bind else spec)

    def _cores(self, lease: Lease, generation: Generation) -> tuple[int, ...]:
        if self._seats is None:
            return ()
        owner = (lease.namespace, lease.name)
        return self._seats.seat(lease.sandbox, owner, generation.plan.wish)

    def resume(self, sandbox: str, generation: Generation) -> None:
        """A sandbox of an earlier daemon goes on."""
        owner = (generation.deployment.namespace, generation.deployment.name)
        if self._seats is not None:
            self._seats.adopt(sandbox, owner, generation.plan.wish)

    def find_secrets(
        self, namespace: str, secrets: tuple[str, ...]
    ) -> tuple[tuple[str, Path], ...]:
        """Names and files of a deployment's secrets.

        Raises:
            HostError: secret_unknown.
        """
        return tuple((name, self._secrets.find(namespace, name)) for name in secrets)
