"""Every setting of the daemon: one frozen value from defaults, a TOML file, the environment and explicit arguments.

Later sources win. Environment variables are `JUNCTIOND_` plus the upper-case field name; lists are comma-separated.
Unknown keys are refused with the known ones named, so that a typing error cannot silently mean the default.
"""

import functools
import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from junctiond.cores.layout import Mode, parse_cores

ENVIRONMENT_PREFIX = "JUNCTIOND_"
BIN_DIR_VARIABLE = "JUNCTIOND_BIN_DIR"
CONFIG_VARIABLE = "JUNCTIOND_CONFIG"
"""Path of the TOML file where no argument names one."""
SYSTEM_BIN_DIR = Path("/usr/lib/junctiond")
SHIM = "libjshim.so"
GO_SHIM = "jgo"
RESTORER = "jrestore"
_CHECKOUT = Path(__file__).resolve().parents[1]


class SettingsError(Exception):
    """A setting is unknown or has an impossible value; the message says where and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this host's daemon runs. Paths are absolute; durations have their unit in the name."""

    state_dir: Path = Path("/var/lib/junctiond")
    """What outlives a reboot: database, layers, function secrets, logs."""
    run_dir: Path = Path("/run/junctiond")
    """Sockets and keepers' state; gone after a reboot."""
    listen: str = "127.0.0.1:8080"
    """The public door (jnetd)."""
    metrics_listen: str = "127.0.0.1:8082"
    """Further address of the provider's metrics page, where OpenFaaS has it; empty: none."""
    secrets_dir: Path = Path("/var/lib/faasd/secrets")
    """Holds basic-auth-user and basic-auth-password, where users of faasd look for them."""
    docker_config: Path = Path("/var/lib/faasd/.docker/config.json")
    """Registry credentials."""
    plain_http_registries: tuple[str, ...] = ()
    """Registries (HOST[:PORT]) that are spoken to without TLS; those on loopback always may be."""
    bin_dir: Path | None = None
    """Where jnetd, jsandbox and jinit are looked for before a checkout's build and /usr/lib/junctiond."""
    workers: int = 0
    """Front-door threads of jnetd; 0: as many as suit the number of cores."""
    placement: str = "balanced"
    """What the choice of cores is for: latency, balanced, eco; off: nothing is pinned or moved."""
    cores: str = ""
    """Cores that the platform and its functions may use, as in 0,2-3; empty: all that the daemon may."""
    rings: bool = True
    """Whether functions get the shim that lets their connections ride on shared-memory rings; a function opts out by
    the annotation com.junctiond.rings: "false"."""
    network: str = "10.62.0.0/16"
    """Addresses that functions see; the first one is the gateway's."""
    uid_base: int = 1_000_000
    """First host uid given to sandboxes; each takes 65,536."""
    dns_upstreams: tuple[str, ...] = ()
    """Resolvers as ADDRESS:PORT; empty: those of /etc/resolv.conf."""
    egress_allow: bool = True
    """Whether functions may connect out of the host."""
    egress_deny: tuple[str, ...] = ()
    """Further networks (CIDR) that functions may not reach; the host's own addresses always are denied."""
    memory_default: str = ""
    """limits.memory of a function that names none; empty: no limit."""
    cpu_default: str = ""
    pids_max: int = 1024
    nofile_max: int = 65_536
    snapshots: bool = True
    """Whether replicas may be brought back from snapshots; a function opts out by com.junctiond.snapshot: "false"."""
    snapshot_mib_max: int = 256
    """Most memory of a program that is captured; what holds more starts in the ordinary way."""
    writable_mib: int = 512
    """Size of a sandbox's writable root layer."""
    tmp_mib: int = 64
    queue_max: int = 1024
    """Invocations of one function that may wait for a replica."""
    queue_timeout_ms: int = 60_000
    body_bytes_max: int = 0
    """Longest request body; 0: no limit."""
    ready_timeout_ms: int = 30_000
    """How long a new replica may take until it accepts connections. Clearly less than the 60 s that faas-cli waits for
    an answer: who deploys a function that never listens is to see its last log lines."""
    drain_timeout_ms: int = 60_000
    """How long a replica that leaves may finish its invocations."""
    grace_ms: int = 30_000
    """Between SIGTERM and SIGKILL of a function."""
    log_bytes_max: int = 8 * 1024 * 1024
    """Log kept of one replica."""
    logs_per_function_max: int = 20
    """Log files of past replicas kept of one function."""
    restart_backoff_ms_max: int = 30_000
    healthy_after_ms: int = 30_000
    """A replica that ran this long resets the restart backoff."""
    cgroup_parent: str = "junctiond"
    resolv_conf: Path = Path("/etc/resolv.conf")
    leave_running: bool = False
    """Whether SIGTERM leaves jnetd and all sandboxes serving (for an upgrade of the daemon) or stops them."""
    run_provider: bool = True
    """Whether the daemon runs the provider too; tests of the daemon alone switch it off."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The environment that the daemon's children get (not functions); never logged."""

    @property
    def database(self) -> Path:
        """The state database."""
        return self.state_dir / "junctiond.db"

    @property
    def function_secrets_dir(self) -> Path:
        """Files of the functions' secrets."""
        return self.state_dir / "function-secrets"

    @property
    def snapshots_dir(self) -> Path:
        """Snapshots of functions; readable by root alone, for they hold what the functions had read."""
        return self.state_dir / "snapshots"

    @property
    def go_copies_dir(self) -> Path:
        """Copies of static Go programs that pass by the shim."""
        return self.state_dir / "go-programs"

    @property
    def logs_dir(self) -> Path:
        """Logs of functions and of jnetd."""
        return self.state_dir / "logs"

    @property
    def sandboxes_dir(self) -> Path:
        """One run directory per sandbox."""
        return self.run_dir / "sandboxes"

    @property
    def host_socket(self) -> Path:
        """The host API."""
        return self.run_dir / "host.sock"

    @property
    def control_socket(self) -> Path:
        """jnetd's control socket."""
        return self.run_dir / "control.sock"

    @property
    def attach_socket(self) -> Path:
        """Where keepers hand sandboxes to jnetd."""
        return self.run_dir / "attach.sock"

    @property
    def provider_socket(self) -> Path:
        """The provider, behind jnetd."""
        return self.run_dir / "provider.sock"

    def shim(self) -> Path | None:
        """The library that is preloaded into functions; None: rings are off here, or it was not built."""
        if not self.rings:
            return None
        try:
            return self.binary(SHIM)
        except SettingsError:
            return None

    def go_shim(self) -> Path | None:
        """What is grafted into static Go programs; None: rings are off here, or it was not built."""
        if not self.rings:
            return None
        try:
            return self.binary(GO_SHIM)
        except SettingsError:
            return None

    def restorer(self) -> Path | None:
        """The program that brings snapshots back; None: snapshots are off here, or it was not built."""
        if not self.snapshots:
            return None
        try:
            return self.binary(RESTORER)
        except SettingsError:
            return None

    def binary(self, name: str) -> Path:
        """Path of jnetd, jsandbox, jinit or the shim.

        Raises:
            SettingsError: it is nowhere, with the places that were looked at.
        """
        places = [*([self.bin_dir] if self.bin_dir else []), *_bin_dirs()]
        for place in places:
            if (place / name).is_file():
                return place / name
        looked = ", ".join(map(str, places))
        raise SettingsError(
            f"{name} not found in {looked}: build it (cargo build --release in dataplane/) "
            f"or set {BIN_DIR_VARIABLE}"
        )


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **explicit: object,
) -> Settings:
    """Settings from all sources; explicit arguments of None mean "not given".

    Raises:
        SettingsError: a source names an unknown key or an impossible value.
    """
    environment = environment or {}
    values: dict[str, Any] = {}
    if file is None and environment.get(CONFIG_VARIABLE):
        file = Path(environment[CONFIG_VARIABLE])
    if file is not None:
        values |= _from_file(file)
    values |= _from_environment(environment)
    given = {key: value for key, value in explicit.items() if value is not None}
    values |= {key: _convert(key, value, "argument") for key, value in given.items()}
    settings = Settings(**values, environment=dict(environment))
    _check(settings)
    return settings


_HINTS = get_type_hints(Settings)
_KEYS = tuple(one.name for one in fields(Settings) if one.name != "environment")


def _from_file(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no valid TOML: {error}") from error
    return {key: _convert(key, value, str(path)) for key, value in document.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and name != CONFIG_VARIABLE:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            found[key] = _convert(key, value, f"environment variable {name}")
    return found


def _convert(key: str, value: object, source: str) -> Any:
    if key not in _KEYS:
        raise SettingsError(f"{source}: unknown setting {key!r}; known are {', '.join(_KEYS)}")
    hint = _HINTS[key]
    try:
        return _as_type(hint, value)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{source}: {key}: {error}") from error


def _as_type(hint: Any, value: object) -> Any:
    if hint is bool:
        return _as_bool(value)
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise TypeError(f"expected a whole number, got {value!r}")
        return int(value)
    if hint is str:
        if not isinstance(value, str):
            raise TypeError(f"expected a text, got {value!r}")
        return value
    if hint == tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or not all(isinstance(one, str) for one in parts):
            raise TypeError(f"expected a list of texts, got {value!r}")
        return tuple(one.strip() for one in parts if one.strip())
    if not isinstance(value, str | Path):
        raise TypeError(f"expected a path, got {value!r}")
    return Path(value).absolute()


def _as_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "1", "false", "0"):
        return value.lower() in ("true", "1")
    raise ValueError(f"expected true or false, got {value!r}")


def _check(settings: Settings) -> None:
    split_address(settings.listen, "listen")
    if settings.metrics_listen:
        split_address(settings.metrics_listen, "metrics_listen")
    for upstream in settings.dns_upstreams:
        split_address(upstream, "dns_upstreams")
    for cidr in (settings.network, *settings.egress_deny):
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            raise SettingsError(f"{cidr!r} is no network in CIDR notation: {error}") from error
    if ipaddress.ip_network(settings.network).version != 4:
        raise SettingsError(f"network {settings.network!r} must be an IPv4 network")
    if settings.placement not in set(Mode):
        known = ", ".join(Mode)
        raise SettingsError(f"placement {settings.placement!r} is unknown; known are {known}")
    if settings.cores:
        try:
            parse_cores(settings.cores)
        except ValueError as error:
            raise SettingsError(f"cores: {error}") from error
    for key in _KEYS:
        value = getattr(settings, key)
        if isinstance(value, int) and value < 0:
            raise SettingsError(f"{key} must not be negative, got {value}")
    if len(str(settings.control_socket)) > 100:
        raise SettingsError(f"run_dir {settings.run_dir} is too long for Unix socket addresses")


def split_address(text: str, what: str) -> tuple[str, int]:
    """Host and port of ADDRESS:PORT.

    Raises:
        SettingsError: the text is no address with a port.
    """
    host, separator, port = text.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        number = -1
    if not separator or not 0 < number < 65_536:
        raise SettingsError(f"{what} {text!r} must be ADDRESS:PORT, for example 127.0.0.1:8080")
    return host.strip("[]"), number


@functools.cache
def _bin_dirs() -> list[Path]:
    """Found once: every launch asks."""
    target = _CHECKOUT / "dataplane" / "target"
    return [target / "release", *sorted(target.glob("*/release")), SYSTEM_BIN_DIR]
