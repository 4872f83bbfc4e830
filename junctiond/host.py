"""The host: `HostApi` over the registry, the store, images and secrets.

Each operation checks its input, changes one thing and returns what a reader would see. Operations on one function are
done one after another; operations on different functions do not wait for each other.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import msgspec

from junctiond import limits, names
from junctiond.cores.steward import Steward
from junctiond.dataplane.base import Dataplane, DataplaneError, DataplaneLost
from junctiond.domain import (
    DEFAULT_NAMESPACE,
    Deployment,
    Function,
    FunctionCpu,
    FunctionEvent,
    HostInfo,
    HostStats,
    LogQuery,
    LogRecord,
    Namespace,
    Place,
    Sandbox,
    SandboxState,
    Usage,
)
from junctiond.errors import HostError, Reason
from junctiond.lifecycle.controller import FunctionController
from junctiond.lifecycle.generation import Generation
from junctiond.lifecycle.state import Phase, Replica
from junctiond.lifecycle.workshop import Workshop
from junctiond.registry import FunctionRegistry, view
from junctiond.sandbox import watchdog as watchdogs
from junctiond.sandbox.plan import make_plan
from junctiond.secrets import SecretFiles
from junctiond.settings import Settings
from junctiond.store import Store
from junctiond.version import commit, version

logger = logging.getLogger(__name__)

PROTOCOL = 1
MEASURED_AT_ONCE = 32
"""Sandboxes whose files are read before others of the daemon's tasks get their turn: launches must not wait."""
_STATES = {
    Phase.LAUNCHING: SandboxState.LAUNCHING,
    Phase.READY: SandboxState.READY,
    Phase.DRAINING: SandboxState.DRAINING,
    Phase.STOPPING: SandboxState.STOPPING,
    Phase.EXITED: SandboxState.EXITED,
}


class _FunctionStats(msgspec.Struct, frozen=True):
    name: str
    namespace: str
    started: int = 0


class _Stats(msgspec.Struct, frozen=True):
    functions: tuple[_FunctionStats, ...] = ()


class Host:
    """`HostApi` of this machine."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        registry: FunctionRegistry,
        workshop: Workshop,
        dataplane: Dataplane,
        secret_files: SecretFiles,
        steward: Steward | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._registry = registry
        self._workshop = workshop
        self._dataplane = dataplane
        self._secrets = secret_files
        self._steward = steward
        self._locks = _FunctionLocks()
        self._started_at_ns = time.time_ns()
        self._commit = commit()

    async def info(self) -> HostInfo:
        """See `HostApi`."""
        hello = self._dataplane.hello
        return HostInfo(
            protocol=PROTOCOL,
            version=version(),
            commit=self._commit,
            dataplane_version=hello.version if hello else "",
            started_at_ns=self._started_at_ns,
        )

    # Functions.

    async def create(self, deployment: Deployment) -> Function:
        """See `HostApi`."""
        self._check(deployment)
        namespace, name = deployment.namespace, deployment.name
        async with self._locks.hold(namespace, name):
            if self._registry.find(namespace, name) is not None:
                text = f"function {name}.{namespace} already exists"
                raise HostError(Reason.FUNCTION_EXISTS, text)
            generation = await self._generation(deployment)
            self._require_namespace(namespace)  # it may have gone while the image was pulled
            controller = self._registry.add(namespace, name, generation.plan)
            try:
                await controller.try_generation(generation, 1)
            except BaseException:
                self._registry.retire(controller)
                raise
            return view(controller)

    async def update(self, deployment: Deployment) -> Function:
        """See `HostApi`."""
        self._check_names(deployment.name, deployment.namespace)
        async with self._locks.hold(deployment.namespace, deployment.name):
            controller = self._require(deployment.name, deployment.namespace)
            self._check(deployment)
            generation = await self._generation(deployment)
            await controller.try_generation(generation, max(1, controller.desired.replicas))
            controller.policy = self._registry.policy(generation.plan)
            return view(controller)

    async def delete(self, name: str, namespace: str) -> None:
        """See `HostApi`."""
        self._check_names(name, namespace)
        async with self._locks.hold(namespace, name):
            controller = self._require(name, namespace)
            function = view(controller)
            self._store.delete_function(namespace, name)
            self._workshop.shelf.drop((namespace, name))
            self._registry.retire(controller)
            self._registry.deleted(function)
            await controller.withdrawn()

    async def start(self, name: str, namespace: str, replicas: int) -> Function:
        """See `HostApi`."""
        self._check_names(name, namespace)
        if not 1 <= replicas <= limits.REPLICAS_MAX:
            raise HostError(
                Reason.LIMITS_INVALID,
                f"replicas must be from 1 to {limits.REPLICAS_MAX}, got {replicas}; stop scales to 0",
            )
        async with self._locks.hold(namespace, name):
            controller = self._require(name, namespace)
            await controller.scale(replicas)
            return view(controller)

    async def stop(self, name: str, namespace: str) -> Function:
        """See `HostApi`."""
        self._check_names(name, namespace)
        async with self._locks.hold(namespace, name):
            controller = self._require(name, namespace)
            await controller.scale(0)
            return view(controller)

    async def get(self, name: str, namespace: str, *, usage: bool = False) -> Function:
        """See `HostApi`."""
        self._check_names(name, namespace)
        controller = self._require(name, namespace)
        counts = await self._invocations()
        function = replace(view(controller), invocations=counts.get((namespace, name), 0.0))
        return replace(function, usage=self._usage(controller)) if usage else function

    async def list_functions(
        self, namespace: str = "", *, all_namespaces: bool = False
    ) -> list[Function]:
        """See `HostApi`."""
        namespace = namespace or DEFAULT_NAMESPACE
        if not all_namespaces:
            self._require_namespace(namespace)
        counts = await self._invocations()
        return [
            replace(view(one), invocations=counts.get(one.key, 0.0))
            for one in self._registry.functions()
            if all_namespaces or one.key[0] == namespace
        ]

    async def watch(self) -> AsyncGenerator[FunctionEvent, None]:
        """See `HostApi`."""
        watcher = self._registry.watch()
        try:
            while (event := await watcher.queue.get()) is not None:
                yield event
            raise HostError(
                Reason.INTERNAL, "the watcher reads too slowly; watch again", retryable=True
            )
        finally:
            self._registry.unwatch(watcher)

    async def stats(self) -> HostStats:
        """See `HostApi`."""
        sandboxes = tuple(await self.list_sandboxes())
        dataplane_json = '{"functions":[],"sandboxes":[],"workers":[]}'
        with contextlib.suppress(DataplaneLost, DataplaneError):
            dataplane_json = await self._dataplane.stats_json()
        layout = self._steward.layout if self._steward else None
        return HostStats(
            dataplane_json,
            sandboxes,
            self._cpu(sandboxes),
            layout.mode.value if layout else "",
            layout.usable if layout else (),
            self._workshop.shelf.counts.frozen(),
        )

    async def logs(self, query: LogQuery) -> AsyncGenerator[LogRecord, None]:
        """See `HostApi`."""
        self._check_names(query.name, query.namespace)
        controller = self._require(query.name, query.namespace)
        records = self._workshop.logs.read(query, exists=lambda: not controller.done)
        async with contextlib.aclosing(records):
            async for record in records:
                yield record

    # Namespaces.

    async def list_namespaces(self) -> list[str]:
        """See `HostApi`."""
        return [one.name for one in self._store.namespaces()]

    async def create_namespace(self, namespace: Namespace) -> Namespace:
        """See `HostApi`."""
        names.check_namespace(namespace.name)
        if self._store.namespace(namespace.name) is not None:
            raise HostError(Reason.NAMESPACE_EXISTS, f"namespace {namespace.name} already exists")
        self._store.put_namespace(namespace)
        return namespace

    async def get_namespace(self, name: str) -> Namespace:
        """See `HostApi`."""
        return self._require_namespace(name)

    async def update_namespace(self, namespace: Namespace) -> Namespace:
        """See `HostApi`."""
        self._require_namespace(namespace.name)
        self._store.put_namespace(namespace)
        return namespace

    async def delete_namespace(self, name: str) -> None:
        """See `HostApi`."""
        self._require_namespace(name)
        if name == DEFAULT_NAMESPACE:
            raise HostError(Reason.BAD_NAME, f"namespace {name} is the default one and stays")
        for controller in self._registry.functions():
            if controller.key[0] == name:
                with contextlib.suppress(HostError):
                    await self.delete(controller.key[1], name)
        self._secrets.delete_namespace(name)
        self._store.delete_namespace(name)

    # Secrets.

    async def list_secrets(self, namespace: str) -> list[str]:
        """See `HostApi`."""
        self._require_namespace(namespace)
        return self._secrets.list(namespace)

    async def put_secret(self, name: str, namespace: str, value: bytes) -> bool:
        """See `HostApi`."""
        names.check_secret(name)
        self._require_namespace(namespace)
        self._workshop.shelf.drop_namespace(namespace)
        return self._secrets.put(namespace, name, value)

    async def delete_secret(self, name: str, namespace: str) -> None:
        """See `HostApi`."""
        names.check_secret(name)
        self._require_namespace(namespace)
        self._workshop.shelf.drop_namespace(namespace)
        self._secrets.delete(namespace, name)

    # Sandboxes.

    async def list_sandboxes(self) -> list[Sandbox]:
        """See `HostApi`."""
        listening: dict[str, tuple[int, ...]] = {}
        with contextlib.suppress(DataplaneLost, DataplaneError):
            listening = {one.sandbox: one.listening for one in await self._dataplane.sandboxes()}
        found = []
        for controller in self._registry.controllers():
            for replica in controller.observed.replicas:
                found.append(self._sandbox(controller, replica, listening.get(replica.sandbox, ())))
                if len(found) % MEASURED_AT_ONCE == 0:
                    await asyncio.sleep(0)
        return sorted(found, key=lambda one: (one.namespace, one.name, one.id))

    # Rules.

    def _check_names(self, name: str, namespace: str) -> None:
        names.check_function(name)
        self._require_namespace(namespace)

    def _check(self, deployment: Deployment) -> None:
        """What can be said of a deployment before its image is here."""
        self._check_names(deployment.name, deployment.namespace)
        if len(deployment.document) > limits.DOCUMENT_BYTES_MAX:
            text = f"the deployment's document is longer than {limits.DOCUMENT_BYTES_MAX} bytes"
            raise HostError(Reason.DEPLOYMENT_INVALID, text)
        if len(deployment.secrets) > limits.SECRETS_PER_FUNCTION_MAX:
            text = f"a function has at most {limits.SECRETS_PER_FUNCTION_MAX} secrets"
            raise HostError(Reason.DEPLOYMENT_INVALID, text)
        self._workshop.find_secrets(deployment.namespace, deployment.secrets)
        for resources, what in ((deployment.limits, "limits"), (deployment.requests, "requests")):
            limits.memory_bytes(resources.memory, f"{what}.memory")
            limits.cpu_millicores(resources.cpu, f"{what}.cpu")
        if not deployment.image:
            raise HostError(Reason.IMAGE_UNKNOWN, "the deployment names no image")

    async def _generation(self, deployment: Deployment) -> Generation:
        image = await self._workshop.resolve(deployment.image)
        kind = await asyncio.to_thread(watchdogs.detect, image)
        plan = make_plan(image.config, deployment, self._settings, kind)
        return Generation(self._store.next_generation(), deployment, image, kind, plan)

    def _require(self, name: str, namespace: str) -> FunctionController:
        controller = self._registry.find(namespace, name)
        if controller is None:
            text = f"function: {name}.{namespace} not found"
            raise HostError(Reason.FUNCTION_UNKNOWN, text)
        return controller

    def _require_namespace(self, name: str) -> Namespace:
        names.check_namespace(name)
        found = self._store.namespace(name)
        if found is None:
            raise HostError(Reason.NAMESPACE_UNKNOWN, f"namespace {name} not found")
        return found

    # Measurements.

    async def _invocations(self) -> dict[tuple[str, str], float]:
        try:
            text = await self._dataplane.stats_json()
            stats = msgspec.json.decode(text, type=_Stats)
        except (DataplaneLost, DataplaneError, msgspec.MsgspecError):
            return {}
        return {(one.namespace, one.name): float(one.started) for one in stats.functions}

    def _usage(self, controller: FunctionController) -> Usage:
        parts = [
            self._workshop.meter.measure(replica.sandbox)
            for replica in controller.observed.replicas
        ]
        return Usage(
            cpu_millicores=sum(one.cpu_millicores for one in parts),
            memory_bytes=sum(one.memory_bytes for one in parts),
            cpu_ns=sum(one.cpu_ns for one in parts),
        )

    def _cpu(self, sandboxes: tuple[Sandbox, ...]) -> tuple[FunctionCpu, ...]:
        """CPU time of every function that exists, from a measurement of its sandboxes."""
        living: dict[tuple[str, str], int] = {}
        for one in sandboxes:
            if one.usage is not None:
                key = (one.namespace, one.name)
                living[key] = living.get(key, 0) + one.usage.cpu_ns
        return tuple(
            FunctionCpu(key[1], key[0], living.get(key, 0) + self._workshop.meter.past_ns(key))
            for key in (controller.key for controller in self._registry.functions())
        )

    def _place(self, sandbox: str) -> Place:
        assignment = self._steward.assignment(sandbox) if self._steward else None
        if self._steward is None or assignment is None:
            return Place()
        return Place(
            assignment.cores,
            assignment.seat.value,
            assignment.reason,
            assignment.moves,
            self._steward.spin_us(sandbox),
        )

    def _sandbox(
        self, controller: FunctionController, replica: Replica, listening: tuple[int, ...]
    ) -> Sandbox:
        lease = self._workshop.lease(replica.sandbox)
        state = self._workshop.state(replica.sandbox)
        return Sandbox(
            id=replica.sandbox,
            name=controller.key[1],
            namespace=controller.key[0],
            state=_STATES[replica.phase],
            address=self._workshop.addresses.address(lease.slot) if lease else "",
            keeper_pid=state.keeper_pid if state else 0,
            init_pid=(state.init_pid or 0) if state else 0,
            started_at_ns=lease.launched_at_ns if lease else 0,
            ready_at_ns=lease.ready_at_ns if lease else 0,
            restarts=controller.restarts,
            error=(state.error or "") if state else "",
            usage=self._workshop.meter.measure(replica.sandbox),
            listening=listening,
            place=self._place(replica.sandbox),
        )


class _FunctionLocks:
    """One lock per function name, there while somebody holds or wants it."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def hold(self, namespace: str, name: str) -> AsyncIterator[None]:
        key = (namespace, name)
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
