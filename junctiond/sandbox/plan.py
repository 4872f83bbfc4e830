"""What to run for a deployment: (image configuration, deployment, settings) to a `LaunchPlan`. Pure.

Images whose entrypoint is an OpenFaaS watchdog are run without it where its contract can be kept otherwise:

    mode http                          the fprocess itself; jnetd keeps the timeouts, limits and health paths
    mode streaming, serializing,       our small native init, which forks the fprocess per request as they do
      or a classic watchdog
    anything that we would change      the image's own watchdog, as it is

"Would change" is: no fprocess, an upstream_url with a path or another host, static files, JWT authentication.
Source of the rules: of-watchdog 0.11 and classic-watchdog 0.3 READMEs; see also docs/architecture.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, urlsplit

from junctiond import limits
from junctiond.cores.base import Wish
from junctiond.dataplane.protocol import FunctionSettings
from junctiond.domain import Deployment
from junctiond.errors import HostError, Reason
from junctiond.images.base import ImageConfig
from junctiond.images.program import PATH_DEFAULT
from junctiond.settings import Settings

PORT_DEFAULT = 8080
PORT_ANNOTATION = "com.junctiond.port"
READY_PATH_ANNOTATION = "com.openfaas.ready.http.path"
RINGS_ANNOTATION = "com.junctiond.rings"
SNAPSHOT_ANNOTATION = "com.junctiond.snapshot"
JINIT_TARGET = "/.junction/jinit"
SHIM_TARGET = "/.junction/libjshim.so"
PRELOAD = "LD_PRELOAD"
CORES_ANNOTATION = "com.junctiond.cores"
"""`one`: a single core will do; `many`: the program must see and use all cores."""
EXEC_TIMEOUT_DEFAULT_NS = 30_000_000_000
_MS = 1_000_000
MILLICORES = 1000
_WATCHDOGS = frozenset({"fwatchdog", "of-watchdog"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})


class Watchdog(Enum):
    """Which watchdog an image carries; both are usually called fwatchdog."""

    NONE = "none"
    CLASSIC = "classic"
    OF = "of"


class Mode(Enum):
    """How the function's program is run."""

    AS_IT_IS = "as-it-is"
    """The image's own entrypoint."""
    HTTP = "http"
    """The fprocess of a watchdog in http mode, without the watchdog."""
    STREAMING = "streaming"
    SERIALIZING = "serializing"
    CLASSIC = "classic"


class SnapshotChoice(Enum):
    """Whether new replicas may be brought back from a snapshot of a waiting one (docs/decisions/0007-python-start.md)."""

    AUTO = "auto"
    """Where the start is slow, and the same every time as far as can be seen."""
    ALWAYS = "true"
    """Wherever it can be done."""
    NEVER = "false"


_FORKING = {"streaming": Mode.STREAMING, "serializing": Mode.SERIALIZING, "classic": Mode.CLASSIC}


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Everything about one generation's process that does not depend on the replica."""

    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    port: int
    mode: Mode
    ready_path: str | None
    settings: FunctionSettings
    grace_ms: int
    memory_bytes: int | None
    cpu_millicores: int | None
    read_only_root: bool
    wish: Wish
    """What the deployment says of cores."""
    rings: bool
    """Whether the shim may be preloaded. A static program ignores it, and so does our own init."""
    snapshot: SnapshotChoice = SnapshotChoice.NEVER


def has_watchdog(config: ImageConfig) -> bool:
    """Whether the image's entrypoint is a watchdog of either kind."""
    command = (*config.entrypoint, *config.cmd)
    return bool(command) and PurePosixPath(command[0]).name in _WATCHDOGS


def make_plan(
    config: ImageConfig, deployment: Deployment, settings: Settings, watchdog: Watchdog
) -> LaunchPlan:
    """The plan for one deployment.

    Args:
        config: of the resolved image.
        deployment: names already checked.
        settings: the host's defaults and limits.
        watchdog: which watchdog the entrypoint is (`junctiond.sandbox.watchdog.detect`).

    Raises:
        HostError: deployment_invalid or limits_invalid.
    """
    env = environment(config, deployment)
    command = (*config.entrypoint, *config.cmd)
    if not command:
        raise HostError(
            Reason.DEPLOYMENT_INVALID,
            f"image {deployment.image} has neither entrypoint nor command: nothing to run",
        )
    mode, argv, port = _process(command, env, watchdog)
    if mode is Mode.AS_IT_IS:
        port = PORT_DEFAULT if watchdog is not Watchdog.NONE else _exposed_port(config)
    port = _annotated_port(deployment, port)
    if mode in _FORKING.values():
        argv = (*argv, "--port", str(port))
    ready_path = _ready_path(deployment, env, watchdog)
    memory = deployment.limits.memory or settings.memory_default
    cpu = deployment.limits.cpu or settings.cpu_default
    # Parsed for the error alone: requests reserve nothing on a single host.
    limits.memory_bytes(deployment.requests.memory, "requests.memory")
    limits.cpu_millicores(deployment.requests.cpu, "requests.cpu")
    return LaunchPlan(
        argv=argv,
        env=tuple(f"{key}={value}" for key, value in env.items()),
        cwd="/" + config.workdir.lstrip("/"),
        user=config.user or "0",
        port=port,
        mode=mode,
        ready_path=ready_path,
        settings=_function_settings(settings, env, watchdog, mode, ready_path),
        grace_ms=_duration_ms(env.get("grace_period"), settings.grace_ms),
        memory_bytes=limits.memory_bytes(memory),
        cpu_millicores=limits.cpu_millicores(cpu),
        read_only_root=deployment.read_only_root,
        wish=_wish(deployment, limits.cpu_millicores(cpu)),
        rings=_wants_rings(deployment) and mode not in _FORKING.values(),
        snapshot=_snapshot_choice(deployment),
    )


def environment(config: ImageConfig, deployment: Deployment) -> dict[str, str]:
    """The function's environment; later sources win: image, envVars, fprocess, the platform's names.

    Raises:
        HostError: deployment_invalid, a name or value that no environment can hold.
    """
    found = {"PATH": PATH_DEFAULT}
    for entry in config.env:
        key, separator, value = entry.partition("=")
        if key and separator:
            found[key] = value
    for key, value in deployment.env.items():
        if not key or "=" in key or "\0" in key or "\0" in value:
            raise HostError(
                Reason.DEPLOYMENT_INVALID,
                f"environment variable {key[:80]!r}: names are not empty and hold no '=', "
                "neither name nor value holds a NUL byte",
            )
        found[key] = value
    if deployment.env_process:
        if "\0" in deployment.env_process:
            raise HostError(Reason.DEPLOYMENT_INVALID, "envProcess holds a NUL byte")
        found["fprocess"] = deployment.env_process
    found["OPENFAAS_NAME"] = deployment.name
    found["OPENFAAS_NAMESPACE"] = deployment.namespace
    size_bytes = sum(len(key.encode()) + len(value.encode()) + 2 for key, value in found.items())
    if size_bytes > limits.ENV_BYTES_MAX:
        raise HostError(
            Reason.DEPLOYMENT_INVALID,
            f"the environment takes {size_bytes} bytes; a program starts with at most "
            f"{limits.ENV_BYTES_MAX}",
        )
    return found


def binds(
    plan: LaunchPlan, jinit: Path | None, shim: Path | None = None
) -> tuple[tuple[str, str], ...]:
    """Read-only binds (source, target) that the plan needs; `jinit` and `shim` are this host's files."""
    forks = plan.mode in _FORKING.values()
    init = ((str(jinit), JINIT_TARGET),) if forks and jinit else ()
    return (*init, (str(shim), SHIM_TARGET)) if plan.rings and shim else init


def preloaded(plan: LaunchPlan, shim: Path | None) -> tuple[str, ...]:
    """The environment with the shim in LD_PRELOAD (ld.so(8)).

    It comes last: what the image preloads wraps the C library, and the shim stands where that library's
    calls are made.
    """
    if not (plan.rings and shim):
        return plan.env
    prefix = f"{PRELOAD}="
    own = [entry.removeprefix(prefix) for entry in plan.env if entry.startswith(prefix)]
    others = [entry for entry in plan.env if not entry.startswith(prefix)]
    return (*others, prefix + ":".join([*filter(None, own), SHIM_TARGET]))


def _process(
    command: tuple[str, ...], env: Mapping[str, str], watchdog: Watchdog
) -> tuple[Mode, tuple[str, ...], int]:
    as_it_is = (Mode.AS_IT_IS, command, PORT_DEFAULT)
    fprocess = env.get("function_process") or env.get("fprocess")
    if watchdog is Watchdog.NONE or not fprocess or _is_true(env.get("jwt_auth")):
        return as_it_is
    mode = env.get("mode") or "streaming"
    if watchdog is Watchdog.CLASSIC:
        mode = "classic"
    if mode == "http":
        port = _upstream_port(env.get("http_upstream_url") or env.get("upstream_url") or "")
        # Single spaces, no quoting and no shell: as the watchdog splits.
        return (Mode.HTTP, tuple(fprocess.split(" ")), port) if port else as_it_is
    if mode in _FORKING:
        return _FORKING[mode], (JINIT_TARGET, "--mode", mode), _watchdog_port(env)
    return as_it_is


def _upstream_port(url: str) -> int | None:
    """The port of an upstream that jnetd can stand in for; None where it cannot."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.path not in ("", "/"):
        return None
    return port or 80


def _watchdog_port(env: Mapping[str, str]) -> int:
    return _port(env.get("port", "")) or PORT_DEFAULT


def _exposed_port(config: ImageConfig) -> int:
    ports: Iterable[int] = config.exposed_ports
    found = tuple(ports)
    return found[0] if len(found) == 1 else PORT_DEFAULT


def _annotated_port(deployment: Deployment, port: int) -> int:
    text = deployment.annotations.get(PORT_ANNOTATION)
    if text is None:
        return port
    chosen = _port(text)
    if chosen is None:
        raise HostError(
            Reason.DEPLOYMENT_INVALID,
            f"annotation {PORT_ANNOTATION} {text[:20]!r} must be a port from 1 to 65535",
        )
    return chosen


def _wants_rings(deployment: Deployment) -> bool:
    text = deployment.annotations.get(RINGS_ANNOTATION, "true")
    if text not in ("true", "false"):
        raise HostError(
            Reason.DEPLOYMENT_INVALID,
            f'annotation {RINGS_ANNOTATION} {text[:20]!r} must be "true" or "false"',
        )
    return text == "true"


def _snapshot_choice(deployment: Deployment) -> SnapshotChoice:
    text = deployment.annotations.get(SNAPSHOT_ANNOTATION, SnapshotChoice.AUTO.value)
    try:
        return SnapshotChoice(text)
    except ValueError:
        raise HostError(
            Reason.DEPLOYMENT_INVALID,
            f'annotation {SNAPSHOT_ANNOTATION} {text[:20]!r} must be "auto", "true" or "false"',
        ) from None


def _port(text: str) -> int | None:
    # The length first: Python refuses to read numbers of thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536):
        return None
    return int(text)


def _wish(deployment: Deployment, cpu_millicores: int | None) -> Wish:
    """What the deployment says of the cores it needs: its annotation, else its CPU limit."""
    text = deployment.annotations.get(CORES_ANNOTATION)
    if text is None:
        if cpu_millicores is None:
            return Wish.HOST
        return Wish.ONE if cpu_millicores <= MILLICORES else Wish.MANY
    if text not in (Wish.ONE, Wish.MANY):
        raise HostError(
            Reason.DEPLOYMENT_INVALID,
            f"annotation {CORES_ANNOTATION} {text[:20]!r} must be one or many",
        )
    return Wish(text)


def _ready_path(deployment: Deployment, env: Mapping[str, str], watchdog: Watchdog) -> str | None:
    path = deployment.annotations.get(READY_PATH_ANNOTATION)
    if path is None and watchdog is Watchdog.OF:
        path = env.get("ready_path")
    if not path:
        return None
    if not path.startswith("/") or not path.isascii() or any(c <= " " or c == "\x7f" for c in path):
        raise HostError(
            Reason.DEPLOYMENT_INVALID,
            f"ready path {path[:80]!r} must begin with '/' and hold printable ASCII only",
        )
    return path


def _function_settings(
    settings: Settings,
    env: Mapping[str, str],
    watchdog: Watchdog,
    mode: Mode,
    ready_path: str | None,
) -> FunctionSettings:
    base = FunctionSettings(
        queue_max=settings.queue_max,
        queue_timeout_ms=settings.queue_timeout_ms,
        body_bytes_max=settings.body_bytes_max,
    )
    if watchdog is Watchdog.NONE or mode is Mode.AS_IT_IS:
        return base
    inflight_max = _count(env.get("max_inflight"))
    exec_default_ns = 0 if mode is Mode.CLASSIC else EXEC_TIMEOUT_DEFAULT_NS
    exec_ms = _duration_ms(env.get("exec_timeout"), exec_default_ns // _MS)
    return FunctionSettings(
        # A watchdog refuses at once what is over its limit: nothing waits for a busy replica. (For the first one
        # jnetd lets invocations wait all the same.)
        replica_inflight_max=inflight_max,
        queue_max=0 if inflight_max else base.queue_max,
        queue_timeout_ms=base.queue_timeout_ms,
        # The forking init ends its own processes, and its answer then differs by mode.
        exec_timeout_ms=exec_ms if mode is Mode.HTTP else 0,
        body_bytes_max=base.body_bytes_max,
        watchdog=mode is Mode.HTTP,
        ready_path=ready_path if mode is Mode.HTTP else None,
    )


def _duration_ms(text: str | None, default_ms: int) -> int:
    """Milliseconds, rounded up; the default for what does not parse or is negative, as the watchdogs do."""
    value_ns = limits.go_duration_ns(text) if text else None
    if value_ns is None or value_ns < 0:
        return default_ms
    return min(-(-value_ns // _MS), 2**53)


def _count(text: str | None) -> int:
    digits = (text or "").strip()
    return (
        min(int(digits), 2**31) if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0
    )


def _is_true(text: str | None) -> bool:
    return text in ("true", "1")
