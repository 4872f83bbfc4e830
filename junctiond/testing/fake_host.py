"""A whole host in memory: `HostApi` with the daemon's rules and no process behind it.

    async with serve_fake_host(socket) as host:      # a real gRPC server on a real Unix socket
        client = HostClient(socket)

Tests steer it through the public fields: `images` that exist, `fail_next` to make one call fail, `write_log` to let a
function say something, `kill_replicas` to take the replicas of a function away.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from junctiond import names
from junctiond.api.service import serve
from junctiond.domain import (
    DEFAULT_NAMESPACE,
    Deployment,
    EventKind,
    Function,
    FunctionEvent,
    HostInfo,
    HostStats,
    LogQuery,
    LogRecord,
    Namespace,
    Sandbox,
    SandboxState,
    Usage,
)
from junctiond.errors import HostError, Reason

Key = tuple[str, str]
"""Namespace and name."""


class FakeHost:
    """`HostApi` in memory. Every image exists unless `images` is set."""

    def __init__(self, *, now_ns: int = 1_700_000_000_000_000_000) -> None:
        self.now_ns = now_ns
        self.images: set[str] | None = None
        self.fail_next: HostError | None = None
        self.dataplane_json = '{"functions":[],"sandboxes":[],"workers":[]}'
        self.secret_values: dict[Key, bytes] = {}
        self._functions: dict[Key, Function] = {}
        self._namespaces = {DEFAULT_NAMESPACE: Namespace(DEFAULT_NAMESPACE)}
        self._logs: dict[Key, list[LogRecord]] = {}
        self._log_written = asyncio.Condition()
        self._watchers: list[asyncio.Queue[FunctionEvent]] = []

    # Steering by tests.

    async def write_log(
        self, name: str, text: str, *, namespace: str = DEFAULT_NAMESPACE, stream: str = "stdout"
    ) -> None:
        """Lets replica 0 of a function write one line."""
        self.now_ns += 1_000_000
        instance = f"{name}.{namespace}.0"
        record = LogRecord(name, namespace, instance, self.now_ns, text, stream)
        async with self._log_written:
            self._logs.setdefault((namespace, name), []).append(record)
            self._log_written.notify_all()

    def kill_replicas(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> None:
        """No replica is available until the next start or update; the wanted number stays."""
        found = self._functions[namespace, name]
        self._put(replace(found, replicas_available=0, last_error="killed by the test"))

    # HostApi.

    async def info(self) -> HostInfo:
        self._maybe_fail()
        return HostInfo(1, "0.0.0-fake", "fake", "0.0.0-fake", self.now_ns)

    async def create(self, deployment: Deployment) -> Function:
        key = self._check(deployment)
        if key in self._functions:
            raise HostError(Reason.FUNCTION_EXISTS, f"function {key[1]}.{key[0]} already exists")
        return self._put(Function(deployment, 1, 1, self.now_ns, 1))

    async def update(self, deployment: Deployment) -> Function:
        names.check_function(deployment.name)
        self._require_namespace(deployment.namespace)
        found = self._require(deployment.name, deployment.namespace)
        self._check(deployment)
        wanted = max(1, found.replicas)
        generation = found.generation + 1
        return self._put(Function(deployment, wanted, wanted, found.created_at_ns, generation))

    async def delete(self, name: str, namespace: str) -> None:
        self._maybe_fail()
        found = self._require(name, namespace)
        del self._functions[namespace, name]
        self._tell(FunctionEvent(EventKind.DELETED, found))

    async def start(self, name: str, namespace: str, replicas: int) -> Function:
        self._maybe_fail()
        found = self._require(name, namespace)
        if replicas < 1:
            raise HostError(Reason.LIMITS_INVALID, "replicas must be at least 1; stop scales to 0")
        return self._put(
            replace(found, replicas=replicas, replicas_available=replicas, last_error="")
        )

    async def stop(self, name: str, namespace: str) -> Function:
        self._maybe_fail()
        found = self._require(name, namespace)
        return self._put(replace(found, replicas=0, replicas_available=0))

    async def get(self, name: str, namespace: str, *, usage: bool = False) -> Function:
        self._maybe_fail()
        found = self._require(name, namespace)
        return replace(found, usage=Usage(12.5, 4_194_304)) if usage else found

    async def list_functions(
        self, namespace: str = "", *, all_namespaces: bool = False
    ) -> list[Function]:
        self._maybe_fail()
        if not all_namespaces:
            self._require_namespace(namespace or DEFAULT_NAMESPACE)
        wanted = None if all_namespaces else (namespace or DEFAULT_NAMESPACE)
        keys = sorted(key for key in self._functions if wanted in (None, key[0]))
        return [self._functions[key] for key in keys]

    async def watch(self) -> AsyncGenerator[FunctionEvent, None]:
        queue: asyncio.Queue[FunctionEvent] = asyncio.Queue()
        self._watchers.append(queue)
        try:
            for function in await self.list_functions(all_namespaces=True):
                yield FunctionEvent(EventKind.PUT, function)
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(queue)

    async def stats(self) -> HostStats:
        self._maybe_fail()
        return HostStats(self.dataplane_json, tuple(await self.list_sandboxes()))

    async def logs(self, query: LogQuery) -> AsyncGenerator[LogRecord, None]:
        self._maybe_fail()
        key = (query.namespace, query.name)
        self._require(query.name, query.namespace)
        records = [r for r in self._logs.get(key, []) if _matches(query, r)]
        sent = len(self._logs.get(key, []))
        for record in records[-query.tail :] if query.tail > 0 else records:
            yield record
        while query.follow and key in self._functions:
            async with self._log_written:
                while len(self._logs.get(key, [])) <= sent:
                    await self._log_written.wait()
                fresh = self._logs[key][sent:]
                sent += len(fresh)
            for record in fresh:
                if _matches(query, record):
                    yield record

    async def list_namespaces(self) -> list[str]:
        self._maybe_fail()
        return sorted(self._namespaces)

    async def create_namespace(self, namespace: Namespace) -> Namespace:
        self._maybe_fail()
        names.check_namespace(namespace.name)
        if namespace.name in self._namespaces:
            raise HostError(Reason.NAMESPACE_EXISTS, f"namespace {namespace.name} already exists")
        self._namespaces[namespace.name] = namespace
        return namespace

    async def get_namespace(self, name: str) -> Namespace:
        self._maybe_fail()
        return self._require_namespace(name)

    async def update_namespace(self, namespace: Namespace) -> Namespace:
        self._maybe_fail()
        self._require_namespace(namespace.name)
        self._namespaces[namespace.name] = namespace
        return namespace

    async def delete_namespace(self, name: str) -> None:
        self._maybe_fail()
        self._require_namespace(name)
        if name == DEFAULT_NAMESPACE:
            raise HostError(Reason.BAD_NAME, f"namespace {name} is the default one and stays")
        for key in [key for key in self._functions if key[0] == name]:
            await self.delete(key[1], key[0])
        for key in [key for key in self.secret_values if key[0] == name]:
            del self.secret_values[key]
        del self._namespaces[name]

    async def list_secrets(self, namespace: str) -> list[str]:
        self._maybe_fail()
        self._require_namespace(namespace)
        return sorted(key[1] for key in self.secret_values if key[0] == namespace)

    async def put_secret(self, name: str, namespace: str, value: bytes) -> bool:
        self._maybe_fail()
        names.check_secret(name)
        self._require_namespace(namespace)
        created = (namespace, name) not in self.secret_values
        self.secret_values[namespace, name] = value
        return created

    async def delete_secret(self, name: str, namespace: str) -> None:
        self._maybe_fail()
        names.check_secret(name)
        self._require_namespace(namespace)
        if self.secret_values.pop((namespace, name), None) is None:
            raise HostError(Reason.SECRET_UNKNOWN, f"secret {name} not found in {namespace}")

    async def list_sandboxes(self) -> list[Sandbox]:
        self._maybe_fail()
        return [
            Sandbox(
                id=f"{name}.{namespace}.{number}",
                name=name,
                namespace=namespace,
                state=SandboxState.READY,
                address=f"10.62.0.{number + 2}",
                started_at_ns=function.created_at_ns,
                ready_at_ns=function.created_at_ns,
                listening=(8080,),
            )
            for (namespace, name), function in sorted(self._functions.items())
            for number in range(function.replicas_available)
        ]

    # Rules.

    def _maybe_fail(self) -> None:
        error, self.fail_next = self.fail_next, None
        if error is not None:
            raise error

    def _check(self, deployment: Deployment) -> Key:
        self._maybe_fail()
        names.check_function(deployment.name)
        self._require_namespace(deployment.namespace)
        for secret in deployment.secrets:
            if (deployment.namespace, secret) not in self.secret_values:
                raise HostError(Reason.SECRET_UNKNOWN, f"unable to find secret: {secret}")
        if not deployment.image or (
            self.images is not None and deployment.image not in self.images
        ):
            raise HostError(Reason.IMAGE_UNKNOWN, f"unable to pull image {deployment.image!r}")
        return deployment.namespace, deployment.name

    def _require(self, name: str, namespace: str) -> Function:
        self._require_namespace(namespace)
        try:
            return self._functions[namespace, name]
        except KeyError:
            text = f"function: {name}.{namespace} not found"
            raise HostError(Reason.FUNCTION_UNKNOWN, text) from None

    def _require_namespace(self, name: str) -> Namespace:
        names.check_namespace(name)
        try:
            return self._namespaces[name]
        except KeyError:
            text = f"namespace {name} not found"
            raise HostError(Reason.NAMESPACE_UNKNOWN, text) from None

    def _put(self, function: Function) -> Function:
        key = (function.deployment.namespace, function.deployment.name)
        self._functions[key] = function
        self._tell(FunctionEvent(EventKind.PUT, function))
        return function

    def _tell(self, event: FunctionEvent) -> None:
        for queue in self._watchers:
            queue.put_nowait(event)


def _matches(query: LogQuery, record: LogRecord) -> bool:
    return record.timestamp_ns >= query.since_ns and query.instance in ("", record.instance)


@asynccontextmanager
async def serve_fake_host(socket: Path) -> AsyncIterator[FakeHost]:
    """A `FakeHost` behind the real gRPC service on `socket`, stopped on leaving."""
    host = FakeHost()
    server = await serve(host, socket)
    try:
        yield host
    finally:
        await server.stop(grace=0.2)
