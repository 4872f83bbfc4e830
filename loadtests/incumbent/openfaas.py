"""The stack that is measured beside ours: real OpenFaaS gateway, our provider on containerd, functions on a CNI bridge."""

import http.client
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.baselines import STOP_WAIT_S, Target, TargetFailed, free_port
from loadtests.ending import end
from loadtests.gateway import Gateway, Status
from loadtests.incumbent.containerd import Containerd, containerd
from loadtests.incumbent.network import Network, network
from loadtests.machine import REPOSITORY

BINARIES = REPOSITORY / ".cache" / "bin"
GATEWAY = BINARIES / "openfaas-gateway"
PROVIDER = BINARIES / "incumbent-stack"
GATEWAY_PORT = 8080
USER = "admin"
READY_WAIT_S = 20.0
STOCK = "openfaas"
CACHED = "openfaas-cached"
WATCHDOG = "fwatchdog"


@dataclass(frozen=True, slots=True)
class Mode:
    """How a gateway and its provider find a function.

    Attributes:
        name: of the target in records.
        suffix: of names that the kernel keeps short.
        scale_from_zero: whether the gateway asks the provider for the replicas before each request.
        resolve: "every": the provider looks the function up for each request; "once": it keeps the address.
    """

    name: str
    suffix: str
    scale_from_zero: bool
    resolve: str


MODES = (
    Mode(STOCK, "s", scale_from_zero=True, resolve="every"),
    Mode(CACHED, "c", scale_from_zero=False, resolve="once"),
)


@dataclass(frozen=True, slots=True)
class Door:
    """A gateway with its provider, which speaks the same API."""

    gateway: Gateway
    provider: Gateway
    gateway_pid: int
    provider_pid: int


@dataclass(frozen=True, slots=True)
class OpenFaas:
    """The running stack: one containerd and one set of functions behind two doors, as shipped and cached."""

    containerd: Containerd
    doors: dict[str, Door]

    @property
    def stock(self) -> Gateway:
        """The door that deploys."""
        return self.doors[STOCK].gateway

    def platform(self, mode: str) -> dict[str, list[int]]:
        """Process ids by role of all who work for an invocation through one door."""
        door = self.doors[mode]
        inside = self.containerd.inside()
        return {
            "gateway": [door.gateway_pid],
            "provider": [door.provider_pid],
            "containerd": [self.containerd.pid],
            "shims": self.containerd.shims(),
            "watchdog": [pid for pid, name in inside if name == WATCHDOG],
            "function": [pid for pid, name in inside if name != WATCHDOG],
        }

    def target(self, mode: str, function: str, name: str) -> Target:
        """A function behind one door as something to measure."""
        url = self.doors[mode].gateway.url(function)
        return Target(name, url, lambda: self.platform(mode))

    def lookups(self) -> int:
        """How many gRPC calls containerd has answered for look-ups of containers, images and tasks."""
        return count_lookups(_get(self.containerd.metrics, "/v1/metrics"))


COUNTER = re.compile(
    r'^grpc_server_handled_total\{.*grpc_method="Get".*'
    r'grpc_service="containerd\.services\.(?:containers|images|tasks)\.v1\.\w+".*\} (\S+)$',
    re.M,
)


def count_lookups(metrics: str) -> int:
    """The sum of the Get calls in containerd's metrics (Prometheus text format)."""
    return sum(int(float(value)) for value in COUNTER.findall(metrics))


@contextmanager
def openfaas(folder: Path) -> Iterator[OpenFaas]:
    """Runs the stack until the block ends, then stops every process of it and removes all it made.

    Raises:
        TargetFailed: a program is missing or does not come up.
    """
    for program in (GATEWAY, PROVIDER):
        if not program.exists():
            raise TargetFailed(f"{program.name} is not built: make bench-faasd builds it")
    folder.mkdir(parents=True)
    name = f"jinc{secrets.token_hex(3)}"  # also a network device's, which may have 15 characters
    password = secrets.token_urlsafe(24)
    _write_secrets(folder / "secrets", password)
    with ExitStack() as stack:
        runtime = stack.enter_context(containerd(folder / "containerd", name))
        bridge = stack.enter_context(network(folder / "network", name))
        doors: dict[str, Door] = {}
        found = OpenFaas(runtime, doors)
        for mode in MODES:
            doors[mode.name] = stack.enter_context(_door(folder, mode, runtime, bridge, password))
        stack.callback(_remove_functions, doors[STOCK].provider)
        yield found


@contextmanager
def _door(
    folder: Path, mode: Mode, runtime: Containerd, bridge: Network, password: str
) -> Iterator[Door]:
    with ExitStack() as stack:
        namespace, address = stack.enter_context(bridge.namespace(mode.suffix))
        listen = f"{bridge.host}:{free_port()}"
        provider = [str(PROVIDER), "-containerd", str(runtime.socket), "-listen", listen]
        provider += ["-namespace", runtime.namespace, "-runc-root", str(runtime.folder / "runc")]
        provider += ["-cni-config", str(bridge.config), "-cni-leases", str(bridge.leases)]
        provider += ["-secrets", str(folder / "secrets"), "-resolve", mode.resolve]
        gateway = ["ip", "netns", "exec", namespace, str(GATEWAY)]
        provider_pid = stack.enter_context(_running(provider, folder / f"{mode.name}-provider.log"))
        _wait(listen)
        settings = gateway_settings(mode, f"http://{listen}/", folder / "secrets")
        log = folder / f"{mode.name}-gateway.log"
        gateway_pid = stack.enter_context(_running(gateway, log, settings))
        entrance = f"{address}:{GATEWAY_PORT}"
        _wait(entrance)
        yield Door(
            Gateway(entrance, USER, password),
            Gateway(listen, USER, password),
            gateway_pid,
            provider_pid,
        )


def gateway_settings(mode: Mode, provider_url: str, secrets_dir: Path) -> dict[str, str]:
    """The gateway's environment: as faasd's docker-compose.yaml has it, but for queue and Prometheus, which are not there."""
    return {
        "functions_provider_url": provider_url,
        "direct_functions": "false",
        "basic_auth": "true",
        "secret_mount_path": str(secrets_dir),
        "scale_from_zero": str(mode.scale_from_zero).lower(),
        "function_namespace": "",
        "read_timeout": "60s",
        "write_timeout": "60s",
        "upstream_timeout": "65s",
        "max_idle_conns": "1024",
        "max_idle_conns_per_host": "1024",
    }


def _write_secrets(folder: Path, password: str) -> None:
    folder.mkdir(mode=0o700)
    for name, value in (("basic-auth-user", USER), ("basic-auth-password", password)):
        secret = folder / name
        secret.touch(0o600)
        secret.write_text(value)


@contextmanager
def _running(
    command: list[str], log: Path, settings: dict[str, str] | None = None
) -> Iterator[int]:
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        end(process, STOP_WAIT_S)


def _wait(address: str) -> None:
    deadline_ns = time.monotonic_ns() + int(READY_WAIT_S * 1e9)
    while time.monotonic_ns() < deadline_ns:
        try:
            _get(address, "/healthz")
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
    raise TargetFailed(f"nothing answers at {address}")


def _get(address: str, path: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode(errors="replace")
    finally:
        connection.close()


def _remove_functions(provider: Gateway) -> None:
    """Takes the functions down one by one, so that runc, CNI and the snapshots are left clean.

    Asks the provider: the gateway cannot list functions without Prometheus.
    """
    listed = msgspec.json.decode(provider.call("GET", "/system/functions"), type=list[Status])
    for function in listed:
        provider.remove(function.name)
