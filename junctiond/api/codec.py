"""Between domain values and protobuf messages; nothing else in the daemon knows protobuf."""

from junctiond.api._pb import host_pb2 as pb
from junctiond.domain import (
    DEFAULT_NAMESPACE,
    Deployment,
    EventKind,
    Function,
    FunctionCpu,
    FunctionEvent,
    HostInfo,
    HostStats,
    LogQuery,
    LogRecord,
    Namespace,
    Place,
    Resources,
    Sandbox,
    SandboxState,
    SnapshotCounts,
    Usage,
)


def encode_deployment(value: Deployment) -> pb.Deployment:
    return pb.Deployment(
        name=value.name,
        namespace=value.namespace,
        image=value.image,
        env_process=value.env_process,
        env=dict(value.env),
        secrets=value.secrets,
        labels=dict(value.labels),
        annotations=dict(value.annotations),
        limits=pb.Resources(memory=value.limits.memory, cpu=value.limits.cpu),
        requests=pb.Resources(memory=value.requests.memory, cpu=value.requests.cpu),
        read_only_root=value.read_only_root,
        constraints=value.constraints,
        document=value.document,
    )


def decode_deployment(message: pb.Deployment) -> Deployment:
    return Deployment(
        name=message.name,
        namespace=message.namespace or DEFAULT_NAMESPACE,
        image=message.image,
        env_process=message.env_process,
        env=dict(message.env),
        secrets=tuple(message.secrets),
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        limits=Resources(message.limits.memory, message.limits.cpu),
        requests=Resources(message.requests.memory, message.requests.cpu),
        read_only_root=message.read_only_root,
        constraints=tuple(message.constraints),
        document=message.document,
    )


def encode_usage(value: Usage | None) -> pb.Usage | None:
    if value is None:
        return None
    return pb.Usage(
        cpu_millicores=value.cpu_millicores,
        memory_bytes=value.memory_bytes,
        cpu_ns=value.cpu_ns,
    )


def encode_function(value: Function) -> pb.Function:
    return pb.Function(
        deployment=encode_deployment(value.deployment),
        replicas=value.replicas,
        replicas_available=value.replicas_available,
        created_at_ns=value.created_at_ns,
        generation=value.generation,
        invocations=value.invocations,
        last_error=value.last_error,
        usage=encode_usage(value.usage),
    )


def decode_function(message: pb.Function) -> Function:
    return Function(
        deployment=decode_deployment(message.deployment),
        replicas=message.replicas,
        replicas_available=message.replicas_available,
        created_at_ns=message.created_at_ns,
        generation=message.generation,
        invocations=message.invocations,
        last_error=message.last_error,
        usage=decode_usage(message.usage) if message.HasField("usage") else None,
    )


def decode_usage(message: pb.Usage) -> Usage:
    return Usage(message.cpu_millicores, message.memory_bytes, message.cpu_ns)


_KINDS = {
    EventKind.PUT: pb.FunctionEvent.KIND_PUT,
    EventKind.DELETED: pb.FunctionEvent.KIND_DELETED,
}


def encode_event(value: FunctionEvent) -> pb.FunctionEvent:
    return pb.FunctionEvent(kind=_KINDS[value.kind], function=encode_function(value.function))


def decode_event(message: pb.FunctionEvent) -> FunctionEvent:
    deleted = message.kind == pb.FunctionEvent.KIND_DELETED
    kind = EventKind.DELETED if deleted else EventKind.PUT
    return FunctionEvent(kind, decode_function(message.function))


def encode_sandbox(value: Sandbox) -> pb.Sandbox:
    return pb.Sandbox(
        id=value.id,
        name=value.name,
        namespace=value.namespace,
        state=value.state.value,
        address=value.address,
        keeper_pid=value.keeper_pid,
        init_pid=value.init_pid,
        started_at_ns=value.started_at_ns,
        ready_at_ns=value.ready_at_ns,
        restarts=value.restarts,
        error=value.error,
        usage=encode_usage(value.usage),
        listening=value.listening,
        place=pb.Place(
            cores=value.place.cores,
            seat=value.place.seat,
            reason=value.place.reason,
            moves=value.place.moves,
            spin_us=value.place.spin_us,
        ),
    )


def decode_sandbox(message: pb.Sandbox) -> Sandbox:
    return Sandbox(
        id=message.id,
        name=message.name,
        namespace=message.namespace,
        state=SandboxState(message.state),
        address=message.address,
        keeper_pid=message.keeper_pid,
        init_pid=message.init_pid,
        started_at_ns=message.started_at_ns,
        ready_at_ns=message.ready_at_ns,
        restarts=message.restarts,
        error=message.error,
        usage=decode_usage(message.usage) if message.HasField("usage") else None,
        listening=tuple(message.listening),
        place=Place(
            tuple(message.place.cores),
            message.place.seat,
            message.place.reason,
            message.place.moves,
            message.place.spin_us,
        ),
    )


def encode_namespace(value: Namespace) -> pb.Namespace:
    return pb.Namespace(
        name=value.name, labels=dict(value.labels), annotations=dict(value.annotations)
    )


def decode_namespace(message: pb.Namespace) -> Namespace:
    return Namespace(message.name, dict(message.labels), dict(message.annotations))


def encode_log_query(value: LogQuery) -> pb.LogsRequest:
    return pb.LogsRequest(
        name=value.name,
        namespace=value.namespace,
        instance=value.instance,
        since_ns=value.since_ns,
        tail=value.tail,
        follow=value.follow,
    )


def decode_log_query(message: pb.LogsRequest) -> LogQuery:
    return LogQuery(
        name=message.name,
        namespace=message.namespace or DEFAULT_NAMESPACE,
        instance=message.instance,
        since_ns=message.since_ns,
        tail=message.tail,
        follow=message.follow,
    )


def encode_log_record(value: LogRecord) -> pb.LogRecord:
    return pb.LogRecord(
        name=value.name,
        namespace=value.namespace,
        instance=value.instance,
        timestamp_ns=value.timestamp_ns,
        text=value.text,
        stream=value.stream,
    )


def decode_log_record(message: pb.LogRecord) -> LogRecord:
    return LogRecord(
        name=message.name,
        namespace=message.namespace,
        instance=message.instance,
        timestamp_ns=message.timestamp_ns,
        text=message.text,
        stream=message.stream,
    )


def encode_info(value: HostInfo) -> pb.InfoReply:
    return pb.InfoReply(
        protocol=value.protocol,
        version=value.version,
        commit=value.commit,
        dataplane_version=value.dataplane_version,
        started_at_ns=value.started_at_ns,
    )


def decode_info(message: pb.InfoReply) -> HostInfo:
    return HostInfo(
        protocol=message.protocol,
        version=message.version,
        commit=message.commit,
        dataplane_version=message.dataplane_version,
        started_at_ns=message.started_at_ns,
    )


def encode_stats(value: HostStats) -> pb.StatsReply:
    return pb.StatsReply(
        dataplane_json=value.dataplane_json,
        sandboxes=[encode_sandbox(sandbox) for sandbox in value.sandboxes],
        cpu=[
            pb.FunctionCpu(name=one.name, namespace=one.namespace, cpu_ns=one.cpu_ns)
            for one in value.cpu
        ],
        placement=value.placement,
        cores=value.cores,
        snapshots=pb.SnapshotCounts(
            taken=value.snapshots.taken,
            refused=value.snapshots.refused,
            restored=value.snapshots.restored,
            fallbacks=value.snapshots.fallbacks,
        ),
    )


def decode_stats(message: pb.StatsReply) -> HostStats:
    return HostStats(
        message.dataplane_json,
        tuple(map(decode_sandbox, message.sandboxes)),
        tuple(FunctionCpu(one.name, one.namespace, one.cpu_ns) for one in message.cpu),
        message.placement,
        tuple(message.cores),
        SnapshotCounts(
            message.snapshots.taken,
            message.snapshots.refused,
            message.snapshots.restored,
            message.snapshots.fallbacks,
        ),
    )
