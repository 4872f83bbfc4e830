"""The typed client of the host API: `HostApi` over gRPC on a Unix socket.

    async with HostClient(Path("/run/junctiond/host.sock")) as host:
        function = await host.get("aes", "openfaas-fn")

Streams (`watch`, `logs`) end when the caller leaves the `async for`; close them early with `aclose()` or
`contextlib.aclosing`, so that the call on the daemon's side ends too.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from junctiond.api import codec
from junctiond.api._pb import host_pb2 as pb
from junctiond.api._pb import host_pb2_grpc as rpc
from junctiond.api.service import MESSAGE_BYTES_MAX, REASON_KEY, RETRYABLE_KEY
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
from junctiond.errors import HostError, Reason

QUERY_TIMEOUT_S = 10.0
"""Reads answer from memory; longer means the daemon hangs."""
CHANGE_TIMEOUT_S = 600.0
"""Changes may pull an image and wait for a replica; the daemon has its own, shorter limits."""


class HostClient:
    """`HostApi` of a daemon on this machine; safe for concurrent use on one event loop."""

    def __init__(
        self,
        socket: Path,
        *,
        query_timeout_s: float = QUERY_TIMEOUT_S,
        change_timeout_s: float = CHANGE_TIMEOUT_S,
    ) -> None:
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            # A daemon that restarts is back within a second: the default backs off for up to two minutes.
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 1000),
            # A private pool, so that one client's backoff does not hold up another one.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._socket = socket
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}", options=options)
        self._stub: Any = rpc.HostStub(self._channel)
        self._query_timeout_s = query_timeout_s
        self._change_timeout_s = change_timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; calls under way fail with `host_unavailable`."""
        await self._channel.close()

    async def info(self) -> HostInfo:
        return codec.decode_info(await self._query("Info", pb.InfoRequest()))

    async def create(self, deployment: Deployment) -> Function:
        request = pb.CreateRequest(deployment=codec.encode_deployment(deployment))
        return codec.decode_function(await self._change("Create", request))

    async def update(self, deployment: Deployment) -> Function:
        request = pb.UpdateRequest(deployment=codec.encode_deployment(deployment))
        return codec.decode_function(await self._change("Update", request))

    async def delete(self, name: str, namespace: str) -> None:
        await self._change("Delete", pb.DeleteRequest(name=name, namespace=namespace))

    async def start(self, name: str, namespace: str, replicas: int) -> Function:
        request = pb.StartRequest(name=name, namespace=namespace, replicas=replicas)
        return codec.decode_function(await self._change("Start", request))

    async def stop(self, name: str, namespace: str) -> Function:
        request = pb.StopRequest(name=name, namespace=namespace)
        return codec.decode_function(await self._change("Stop", request))

    async def get(self, name: str, namespace: str, *, usage: bool = False) -> Function:
        request = pb.GetRequest(name=name, namespace=namespace, usage=usage)
        return codec.decode_function(await self._query("Get", request))

    async def list_functions(
        self, namespace: str = "", *, all_namespaces: bool = False
    ) -> list[Function]:
        request = pb.ListRequest(namespace=namespace, all_namespaces=all_namespaces)
        reply = await self._query("List", request)
        return [codec.decode_function(one) for one in reply.functions]

    async def watch(self) -> AsyncGenerator[FunctionEvent, None]:
        async for message in self._messages("Watch", pb.WatchRequest()):
            yield codec.decode_event(message)

    async def stats(self) -> HostStats:
        return codec.decode_stats(await self._query("Stats", pb.StatsRequest()))

    async def logs(self, query: LogQuery) -> AsyncGenerator[LogRecord, None]:
        async for message in self._messages("Logs", codec.encode_log_query(query)):
            yield codec.decode_log_record(message)

    async def list_namespaces(self) -> list[str]:
        return list((await self._query("ListNamespaces", pb.ListNamespacesRequest())).names)

    async def create_namespace(self, namespace: Namespace) -> Namespace:
        request = codec.encode_namespace(namespace)
        return codec.decode_namespace(await self._change("CreateNamespace", request))

    async def get_namespace(self, name: str) -> Namespace:
        request = pb.GetNamespaceRequest(name=name)
        return codec.decode_namespace(await self._query("GetNamespace", request))

    async def update_namespace(self, namespace: Namespace) -> Namespace:
        request = codec.encode_namespace(namespace)
        return codec.decode_namespace(await self._change("UpdateNamespace", request))

    async def delete_namespace(self, name: str) -> None:
        await self._change("DeleteNamespace", pb.DeleteNamespaceRequest(name=name))

    async def list_secrets(self, namespace: str) -> list[str]:
        reply = await self._query("ListSecrets", pb.ListSecretsRequest(namespace=namespace))
        return [secret.name for secret in reply.secrets]

    async def put_secret(self, name: str, namespace: str, value: bytes) -> bool:
        request = pb.PutSecretRequest(name=name, namespace=namespace, value=value)
        return bool((await self._change("PutSecret", request)).created)

    async def delete_secret(self, name: str, namespace: str) -> None:
        await self._change("DeleteSecret", pb.DeleteSecretRequest(name=name, namespace=namespace))

    async def list_sandboxes(self) -> list[Sandbox]:
        reply = await self._query("ListSandboxes", pb.ListSandboxesRequest())
        return [codec.decode_sandbox(one) for one in reply.sandboxes]

    async def _query(self, method: str, request: Any) -> Any:
        return await self._call(method, request, self._query_timeout_s)

    async def _change(self, method: str, request: Any) -> Any:
        return await self._call(method, request, self._change_timeout_s)

    async def _call(self, method: str, request: Any, timeout_s: float) -> Any:
        try:
            return await getattr(self._stub, method)(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self._host_error(error) from error

    async def _messages(self, method: str, request: Any) -> AsyncIterator[Any]:
        call = getattr(self._stub, method)(request)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise self._host_error(error) from error
        finally:
            call.cancel()

    def _host_error(self, error: grpc.aio.AioRpcError) -> HostError:
        metadata = dict(error.trailing_metadata() or ())
        message = error.details() or error.code().name
        try:
            reason = Reason(str(metadata[REASON_KEY]))
        except KeyError:
            return self._transport_error(error.code(), message)
        except ValueError:
            return HostError(Reason.INTERNAL, f"unknown reason {metadata[REASON_KEY]!r}: {message}")
        return HostError(reason, message, retryable=metadata.get(RETRYABLE_KEY) == "true")

    def _transport_error(self, code: grpc.StatusCode, message: str) -> HostError:
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return HostError(Reason.HOST_UNAVAILABLE, "junctiond did not answer in time")
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            text = f"junctiond does not answer on {self._socket}; is it running? (junctiond up)"
            return HostError(Reason.HOST_UNAVAILABLE, text)
        return HostError(Reason.INTERNAL, f"{code.name}: {message}")
