"""The words of the host: what a provider deploys and what the host tells about it.

Plain values without behaviour. Times are Unix nanoseconds. `api/codec.py` is the only place that turns them into
protobuf messages and back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

DEFAULT_NAMESPACE = "openfaas-fn"


@dataclass(frozen=True, slots=True)
class Resources:
    """Kubernetes quantities as the caller wrote them ("128Mi", "100m"); empty: none."""

    memory: str = ""
    cpu: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a caller wants to run under one name."""

    name: str
    image: str
    namespace: str = DEFAULT_NAMESPACE
    env_process: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    limits: Resources = Resources()
    requests: Resources = Resources()
    read_only_root: bool = False
    constraints: tuple[str, ...] = ()
    document: bytes = b""
    """The caller's own document, kept and given back byte for byte."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a function's sandboxes use now."""

    cpu_millicores: float = 0.0
    memory_bytes: int = 0
    cpu_ns: int = 0
    """CPU time since they started."""


@dataclass(frozen=True, slots=True)
class Function:
    """A deployed function and its present state."""

    deployment: Deployment
    replicas: int
    replicas_available: int
    created_at_ns: int
    generation: int
    invocations: float = 0.0
    last_error: str = ""
    usage: Usage | None = None


class EventKind(Enum):
    """What happened to a function."""

    PUT = 1
    DELETED = 2


@dataclass(frozen=True, slots=True)
class FunctionEvent:
    """One entry of the watch stream."""

    kind: EventKind
    function: Function


class SandboxState(StrEnum):
    """The life of one sandbox as a reader sees it."""

    LAUNCHING = "launching"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    EXITED = "exited"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sandbox runs and why (docs/decisions/0005-affinity.md).

    Attributes:
        cores: what its threads may use; empty: nothing is pinned.
        seat: paired (with a worker of the front door), spread (on cores without workers) or free.
        reason: one short phrase.
        moves: how often it was moved.
        spin_us: how long it may poll before it parks.
    """

    cores: tuple[int, ...] = ()
    seat: str = ""
    reason: str = ""
    moves: int = 0
    spin_us: int = 0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One sandbox of this host."""

    id: str
    name: str
    namespace: str
    state: SandboxState
    address: str = ""
    keeper_pid: int = 0
    init_pid: int = 0
    started_at_ns: int = 0
    ready_at_ns: int = 0
    restarts: int = 0
    error: str = ""
    usage: Usage | None = None
    listening: tuple[int, ...] = ()
    place: Place = Place()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A set of functions and secrets whose names do not clash with another set's."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which log records to read. `tail` 0 or less and `since_ns` 0 mean all; `instance` empty means every replica."""

    name: str
    namespace: str = DEFAULT_NAMESPACE
    instance: str = ""
    since_ns: int = 0
    tail: int = 0
    follow: bool = False


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line a function wrote. `stream` is "stdout" or "stderr"; `instance` is the sandbox id."""

    name: str
    namespace: str
    instance: str
    timestamp_ns: int
    text: str
    stream: str


@dataclass(frozen=True, slots=True)
class HostInfo:
    """Who answers."""

    protocol: int
    version: str
    commit: str
    dataplane_version: str
    started_at_ns: int


@dataclass(frozen=True, slots=True)
class FunctionCpu:
    """CPU time of all sandboxes of a function, those that are gone included, since the daemon started."""

    name: str
    namespace: str
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class SnapshotCounts:
    """What became of snapshots since the daemon started."""

    taken: int = 0
    refused: int = 0
    """That were to be taken."""
    restored: int = 0
    """Replicas brought back from one."""
    fallbacks: int = 0
    """Replicas that were to be brought back, and were started in the ordinary way."""


@dataclass(frozen=True, slots=True)
class HostStats:
    """The data plane's own statistics as JSON text (docs/protocols.md, section 4) and every sandbox."""

    dataplane_json: str
    sandboxes: tuple[Sandbox, ...]
    cpu: tuple[FunctionCpu, ...] = ()
    """Of every function that exists."""
    placement: str = ""
    """The mode in force."""
    cores: tuple[int, ...] = ()
    """The cores that the platform may use."""
    snapshots: SnapshotCounts = SnapshotCounts()
