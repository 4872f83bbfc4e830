"""The gRPC servicer: each method decodes, calls the host, encodes. Rules and state live behind `HostApi`."""

import functools
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol

import grpc

from junctiond.api import codec, details
from junctiond.api._pb import host_pb2 as pb
from junctiond.api._pb import host_pb2_grpc as rpc
from junctiond.api.base import HostApi
from junctiond.domain import DEFAULT_NAMESPACE
from junctiond.errors import HostError, Reason

logger = logging.getLogger(__name__)

REASON_KEY = "junctiond-reason"
RETRYABLE_KEY = "junctiond-retryable"
MESSAGE_BYTES_MAX = 16 * 1024 * 1024

STATUS: dict[Reason, grpc.StatusCode] = {
    Reason.BAD_NAME: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NAMESPACE_UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Reason.NAMESPACE_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Reason.FUNCTION_UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Reason.FUNCTION_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Reason.SECRET_UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Reason.SECRET_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.IMAGE_UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Reason.IMAGE_CORRUPT: grpc.StatusCode.DATA_LOSS,
    Reason.REGISTRY_UNREACHABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.REGISTRY_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.LIMITS_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.DEPLOYMENT_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NOT_READY: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.LAUNCH_FAILED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
    Reason.HOST_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}

Context = grpc.aio.ServicerContext[Any, Any]
Method = Callable[["HostService", Any, Context], Awaitable[Any]]
Stream = Callable[["HostService", Any, Context], AsyncIterator[Any]]


async def _abort(context: Context, error: HostError) -> NoReturn:
    metadata = ((REASON_KEY, error.reason.value), (RETRYABLE_KEY, str(error.retryable).lower()))
    text = details.cut(error.message)
    await context.abort(STATUS[error.reason], text, trailing_metadata=metadata)
    raise AssertionError("abort always raises")


def _as_host_error(error: Exception, method: str) -> HostError:
    """An unexpected exception becomes `internal`; its text stays in the log, for it may hold anything."""
    if isinstance(error, HostError):
        return error
    logger.error("host call failed", exc_info=error, extra={"fields": {"method": method}})
    kind = type(error).__name__
    return HostError(Reason.INTERNAL, f"{method} failed inside junctiond ({kind}): see its log")


def _unary(method: Method) -> Method:
    @functools.wraps(method)
    async def guarded(self: "HostService", request: Any, context: Context) -> Any:
        try:
            return await method(self, request, context)
        except Exception as error:
            await _abort(context, _as_host_error(error, method.__name__))

    return guarded


def _stream(method: Stream) -> Stream:
    @functools.wraps(method)
    async def guarded(self: "HostService", request: Any, context: Context) -> AsyncIterator[Any]:
        # Headers first: a client that follows a quiet log must see at once that the call was accepted.
        await context.send_initial_metadata(())
        try:
            async for message in method(self, request, context):
                yield message
        except Exception as error:
            await _abort(context, _as_host_error(error, method.__name__))

    return guarded


class HostService(rpc.HostServicer):
    """`junctiond.v1.Host` over any `HostApi`."""

    def __init__(self, host: HostApi) -> None:
        self._host = host

    @_unary
    async def Info(self, request: pb.InfoRequest, context: Context) -> pb.InfoReply:
        return codec.encode_info(await self._host.info())

    @_unary
    async def Create(self, request: pb.CreateRequest, context: Context) -> pb.Function:
        deployment = codec.decode_deployment(request.deployment)
        return codec.encode_function(await self._host.create(deployment))

    @_unary
    async def Update(self, request: pb.UpdateRequest, context: Context) -> pb.Function:
        deployment = codec.decode_deployment(request.deployment)
        return codec.encode_function(await self._host.update(deployment))

    @_unary
    async def Delete(self, request: pb.DeleteRequest, context: Context) -> pb.DeleteReply:
        await self._host.delete(request.name, _namespace(request))
        return pb.DeleteReply()

    @_unary
    async def Start(self, request: pb.StartRequest, context: Context) -> pb.Function:
        found = await self._host.start(request.name, _namespace(request), request.replicas)
        return codec.encode_function(found)

    @_unary
    async def Stop(self, request: pb.StopRequest, context: Context) -> pb.Function:
        return codec.encode_function(await self._host.stop(request.name, _namespace(request)))

    @_unary
    async def Get(self, request: pb.GetRequest, context: Context) -> pb.Function:
        found = await self._host.get(request.name, _namespace(request), usage=request.usage)
        return codec.encode_function(found)

    @_unary
    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListReply:
        found = await self._host.list_functions(
            _namespace(request), all_namespaces=request.all_namespaces
        )
        return pb.ListReply(functions=[codec.encode_function(one) for one in found])

    @_stream
    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.FunctionEvent]:
        async for event in self._host.watch():
            yield codec.encode_event(event)

    @_unary
    async def Stats(self, request: pb.StatsRequest, context: Context) -> pb.StatsReply:
        return codec.encode_stats(await self._host.stats())

    @_stream
    async def Logs(self, request: pb.LogsRequest, context: Context) -> AsyncIterator[pb.LogRecord]:
        async for record in self._host.logs(codec.decode_log_query(request)):
            yield codec.encode_log_record(record)

    @_unary
    async def ListNamespaces(
        self, request: pb.ListNamespacesRequest, context: Context
    ) -> pb.ListNamespacesReply:
        return pb.ListNamespacesReply(names=await self._host.list_namespaces())

    @_unary
    async def CreateNamespace(self, request: pb.Namespace, context: Context) -> pb.Namespace:
        namespace = codec.decode_namespace(request)
        return codec.encode_namespace(await self._host.create_namespace(namespace))

    @_unary
    async def GetNamespace(self, request: pb.GetNamespaceRequest, context: Context) -> pb.Namespace:
        return codec.encode_namespace(await self._host.get_namespace(request.name))

    @_unary
    async def UpdateNamespace(self, request: pb.Namespace, context: Context) -> pb.Namespace:
        namespace = codec.decode_namespace(request)
        return codec.encode_namespace(await self._host.update_namespace(namespace))

    @_unary
    async def DeleteNamespace(
        self, request: pb.DeleteNamespaceRequest, context: Context
    ) -> pb.DeleteNamespaceReply:
        await self._host.delete_namespace(request.name)
        return pb.DeleteNamespaceReply()

    @_unary
    async def ListSecrets(
        self, request: pb.ListSecretsRequest, context: Context
    ) -> pb.ListSecretsReply:
        namespace = _namespace(request)
        names = await self._host.list_secrets(namespace)
        return pb.ListSecretsReply(
            secrets=[pb.SecretName(name=name, namespace=namespace) for name in names]
        )

    @_unary
    async def PutSecret(self, request: pb.PutSecretRequest, context: Context) -> pb.PutSecretReply:
        created = await self._host.put_secret(request.name, _namespace(request), request.value)
        return pb.PutSecretReply(created=created)

    @_unary
    async def DeleteSecret(
        self, request: pb.DeleteSecretRequest, context: Context
    ) -> pb.DeleteSecretReply:
        await self._host.delete_secret(request.name, _namespace(request))
        return pb.DeleteSecretReply()

    @_unary
    async def ListSandboxes(
        self, request: pb.ListSandboxesRequest, context: Context
    ) -> pb.ListSandboxesReply:
        found = await self._host.list_sandboxes()
        return pb.ListSandboxesReply(sandboxes=[codec.encode_sandbox(one) for one in found])


class _Namespaced(Protocol):
    @property
    def namespace(self) -> str: ...


def _namespace(request: _Namespaced) -> str:
    return request.namespace or DEFAULT_NAMESPACE


async def serve(host: HostApi, socket: Path) -> grpc.aio.Server:
    """Starts the service on a Unix socket of mode 0600, replacing a stale socket file.

    The caller stops the returned server.

    Raises:
        HostError: the socket could not be bound.
    """
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    options = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ]
    server = grpc.aio.server(options=options)
    rpc.add_HostServicer_to_server(HostService(host), server)
    # gRPC offers no mode for the socket it makes: the umask closes the moment between bind and chmod.
    mask = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{socket}")
    except RuntimeError as error:
        raise HostError(Reason.INTERNAL, f"cannot listen on {socket}: {error}") from error
    finally:
        os.umask(mask)
    await server.start()
    socket.chmod(0o600)
    return server
