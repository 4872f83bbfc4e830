"""The host API as Python sees it: one Protocol, implemented by the daemon, by the gRPC client and by the fake.

Every method raises `junctiond.errors.HostError` and nothing else. An empty namespace means the default one.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from junctiond.domain import (
    Deployment,
    Function,
    FunctionEvent,
    HostInfo,
    HostStats,
    LogQuery,
    LogRecord,
    Namespace,
    Sandbox,
)


class HostApi(Protocol):
    """What a provider or a tool may ask of one host."""

    async def info(self) -> HostInfo:
        """Who answers, and since when."""
        ...

    async def create(self, deployment: Deployment) -> Function:
        """Deploys a new function; returns once its first replica accepts connections."""
        ...

    async def update(self, deployment: Deployment) -> Function:
        """Replaces a function; the old generation serves until the new one is ready."""
        ...

    async def delete(self, name: str, namespace: str) -> None:
        """Removes a function: its route at once, its sandboxes after they drained."""
        ...

    async def start(self, name: str, namespace: str, replicas: int) -> Function:
        """Sets the wanted replicas (at least 1); returns once the first accepts connections."""
        ...

    async def stop(self, name: str, namespace: str) -> Function:
        """Scales to zero; the next invocation starts a replica again."""
        ...

    async def get(self, name: str, namespace: str, *, usage: bool = False) -> Function:
        """One function; with `usage` also what its sandboxes use now."""
        ...

    async def list_functions(
        self, namespace: str = "", *, all_namespaces: bool = False
    ) -> list[Function]:
        """The functions of one namespace, or of all, ordered by namespace and name."""
        ...

    def watch(self) -> AsyncIterator[FunctionEvent]:
        """Every function once (as a put), then each change as it happens, for ever."""
        ...

    async def stats(self) -> HostStats:
        """The data plane's counters and every sandbox."""
        ...

    def logs(self, query: LogQuery) -> AsyncIterator[LogRecord]:
        """Log lines, oldest first; with `follow` it ends only when the caller stops or the function is deleted."""
        ...

    async def list_namespaces(self) -> list[str]:
        """Names of all namespaces, sorted."""
        ...

    async def create_namespace(self, namespace: Namespace) -> Namespace:
        """Adds a namespace; `namespace_exists` where it is there already."""
        ...

    async def get_namespace(self, name: str) -> Namespace:
        """One namespace with its labels and annotations."""
        ...

    async def update_namespace(self, namespace: Namespace) -> Namespace:
        """Replaces labels and annotations."""
        ...

    async def delete_namespace(self, name: str) -> None:
        """Removes a namespace with its functions and secrets; the default one cannot go."""
        ...

    async def list_secrets(self, namespace: str) -> list[str]:
        """Names of the secrets of a namespace, sorted; values never come out."""
        ...

    async def put_secret(self, name: str, namespace: str, value: bytes) -> bool:
        """Writes a secret; true where it was not there before."""
        ...

    async def delete_secret(self, name: str, namespace: str) -> None:
        """Removes a secret; functions that run keep the copy they started with."""
        ...

    async def list_sandboxes(self) -> list[Sandbox]:
        """Every sandbox of this host, ordered by namespace, name and id."""
        ...
