"""The sandbox specification (docs/protocols.md, section 1) and how a plan becomes one."""

from pathlib import Path

import msgspec

from junctiond.domain import Deployment
from junctiond.images.base import Image
from junctiond.sandbox import plan as plans
from junctiond.sandbox.plan import LaunchPlan
from junctiond.settings import Settings

PROTOCOL = 1
GATEWAY_NAMES = ("gateway", "gateway.openfaas")


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """The root: layers top first, and what may be written over them."""

    layers: tuple[str, ...]
    read_only: bool
    writable_mib: int
    tmp_mib: int


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The program."""

    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str


class Bind(msgspec.Struct, frozen=True):
    """A read-only bind mount."""

    source: str
    target: str


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What the guest believes its network to be."""

    address: str
    gateway: str
    nameserver: str
    hosts: tuple[tuple[str, str], ...]


class Secret(msgspec.Struct, frozen=True):
    """A secret file."""

    name: str
    source: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the cgroup and of descriptors."""

    memory_bytes: int | None
    cpu_millicores: int | None
    pids_max: int
    nofile_max: int


class Log(msgspec.Struct, frozen=True):
    """Where the keeper writes what the guest says."""

    path: str
    bytes_max: int


class SnapshotTake(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot to be taken once the program waits; the sandbox ends with it."""

    file: str
    bytes_max: int
    timeout_ms: int


class SnapshotWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Start from a snapshot where it is there, or take one."""

    restorer: str
    restore: str | None = None
    take: SnapshotTake | None = None


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What `jsandbox run --spec` reads."""

    protocol: int = PROTOCOL
    id: str
    run_dir: str
    attach_socket: str
    rootfs: RootFs
    process: Process
    binds: tuple[Bind, ...]
    hostname: str
    network: Network
    secrets: tuple[Secret, ...]
    uid_base: int
    limits: Limits
    cores: tuple[int, ...] = ()
    """Where the program starts; empty: wherever its keeper may run."""
    grace_ms: int
    log: Log
    cgroup_parent: str
    snapshot: SnapshotWish | msgspec.UnsetType = msgspec.UNSET


def replica_of(
    template: SandboxSpec,
    sandbox: str,
    *,
    run_dir: str,
    log: str,
    address: str,
    uid_base: int,
    secrets: tuple[tuple[str, Path], ...],
    cores: tuple[int, ...],
) -> SandboxSpec:
    """One more replica of a generation: what is its own, put into the specification of any."""
    return msgspec.structs.replace(
        template,
        id=sandbox,
        run_dir=run_dir,
        network=msgspec.structs.replace(template.network, address=address),
        secrets=tuple(Secret(name, str(path)) for name, path in secrets),
        uid_base=uid_base,
        cores=cores,
        log=Log(log, template.log.bytes_max),
    )


def log_path(settings: Settings, namespace: str, name: str, sandbox: str) -> Path:
    """The log file of one sandbox."""
    return settings.logs_dir / namespace / name / f"{sandbox}.log"


def bound(spec: SandboxSpec, bind: tuple[str, str]) -> SandboxSpec:
    """The specification with one more read-only bind (source, target)."""
    return msgspec.structs.replace(spec, binds=(*spec.binds, Bind(*bind)))


def build(
    settings: Settings,
    sandbox: str,
    deployment: Deployment,
    image: Image,
    plan: LaunchPlan,
    *,
    address: str,
    gateway: str,
    uid_base: int,
    secrets: tuple[tuple[str, Path], ...],
    jinit: Path | None,
    cores: tuple[int, ...] = (),
    shim: Path | None = None,
) -> SandboxSpec:
    """The specification of one replica; `jinit` and `shim` are this host's files, where there are any."""
    log = log_path(settings, deployment.namespace, deployment.name, sandbox)
    return SandboxSpec(
        id=sandbox,
        run_dir=str(settings.sandboxes_dir / sandbox),
        attach_socket=str(settings.attach_socket),
        rootfs=RootFs(
            layers=tuple(map(str, image.layers)),
            read_only=plan.read_only_root,
            writable_mib=settings.writable_mib,
            tmp_mib=settings.tmp_mib,
        ),
        process=Process(
            argv=plan.argv, env=plans.preloaded(plan, shim), cwd=plan.cwd, user=plan.user
        ),
        binds=tuple(Bind(*bind) for bind in plans.binds(plan, jinit, shim)),
        hostname=deployment.name,
        network=Network(
            address=address,
            gateway=gateway,
            nameserver=gateway,
            hosts=tuple((gateway, name) for name in GATEWAY_NAMES),
        ),
        secrets=tuple(Secret(name, str(path)) for name, path in secrets),
        uid_base=uid_base,
        limits=Limits(
            memory_bytes=plan.memory_bytes,
            cpu_millicores=plan.cpu_millicores,
            pids_max=settings.pids_max,
            nofile_max=settings.nofile_max,
        ),
        cores=cores,
        grace_ms=plan.grace_ms,
        log=Log(str(log), settings.log_bytes_max),
        cgroup_parent=settings.cgroup_parent,
    )
