"""The same function without a platform: bare on loopback, and behind veth and a bridge in a network namespace."""

import errno
import http.client
import ipaddress
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkError

from loadtests.ending import end
from loadtests.process_cost import descendants
from loadtests.program import Program

ENDING_WAIT_S = 0.5
READY_WAIT_S = 10.0
POLL_S = 0.0002
STOP_WAIT_S = 5.0
GUEST_PORT = 8080
PROBE = b"GET / HTTP/1.1\r\nHost: ready\r\nConnection: close\r\n\r\n"


class TargetFailed(Exception):
    """A server to measure did not come up; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers invocations.

    Attributes:
        name: how records call it.
        url: where it is invoked.
        processes: process ids by role of all who work for an invocation; asked anew, as replicas come and go.
    """

    name: str
    url: str
    processes: Callable[[], dict[str, list[int]]]


@contextmanager
def bare(program: Program) -> Iterator[Target]:
    """The function's program on kernel loopback."""
    port = free_port()
    with running(program, port) as process:
        wait_for_200("127.0.0.1", port, process)
        yield Target("bare", f"http://127.0.0.1:{port}/", lambda: family(process.pid))


def family(pid: int) -> dict[str, list[int]]:
    """A function's server and its workers, as `Target.processes` names them."""
    return {"function": descendants([pid])}


@contextmanager
def bridge(program: Program) -> Iterator[Target]:
    """The function's program in a network namespace of its own, reached through a bridge and a veth pair.

    That is the network of faasd and of Docker without their proxies and watchdogs; what it costs is the veth pair's
    two softirq hops. Names carry this process's id, and everything is removed on leaving.
    """
    tag = f"jlt{os.getpid()}"
    host, guest = _free_network()
    with ExitStack() as stack:
        process = stack.enter_context(running(program, GUEST_PORT, ["unshare", "--net"]))
        try:
            _wait_for_namespace(process)
            _connect(stack, process.pid, tag, host, guest)
        except (OSError, NetlinkError) as error:
            status = _ending(process)
            how = f"ended with status {status}" if status is not None else "got no network"
            raise TargetFailed(f"{process.args!r} {how}: {error}") from error
        wait_for_200(str(guest), GUEST_PORT, process)
        yield Target("bridge", f"http://{guest}:{GUEST_PORT}/", lambda: family(process.pid))


def _ending(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit status; `None` while it runs. A process loses its namespaces a moment before it can be waited for."""
    try:
        return process.wait(ENDING_WAIT_S)
    except subprocess.TimeoutExpired:
        return None


def _connect(
    stack: ExitStack,
    pid: int,
    tag: str,
    host: ipaddress.IPv4Address,
    guest: ipaddress.IPv4Address,
) -> None:
    """Makes bridge and veth pair, one end in the namespace of a process; the stack removes them."""
    route = stack.enter_context(IPRoute())
    route.link("add", ifname=f"{tag}b", kind="bridge")
    bridge_index = route.link_lookup(ifname=f"{tag}b")[0]
    stack.callback(_remove_link, route, bridge_index)
    route.addr("add", index=bridge_index, address=str(host), prefixlen=24)
    route.link("set", index=bridge_index, state="up")
    peer = {"ifname": "eth0", "net_ns_pid": pid}
    route.link("add", ifname=f"{tag}h", kind="veth", peer=peer)
    veth = route.link_lookup(ifname=f"{tag}h")[0]
    # Removed explicitly: the end of a namespace takes its devices along, but some time later.
    stack.callback(_remove_link, route, veth)
    route.link("set", index=veth, master=bridge_index, state="up")
    _configure_inside(pid, guest)


def _remove_link(route: IPRoute, index: int) -> None:
    try:
        route.link("del", index=index)
    except NetlinkError as error:
        if error.code != errno.ENODEV:  # gone with its namespace already
            raise


def _wait_for_namespace(process: subprocess.Popen[bytes]) -> None:
    """Waits until `unshare` has left our network namespace; it becomes the program afterwards, same process id."""
    ours = Path("/proc/self/ns/net").readlink()
    deadline_ns = time.monotonic_ns() + int(READY_WAIT_S * 1e9)
    while process.poll() is None and time.monotonic_ns() < deadline_ns:
        if Path(f"/proc/{process.pid}/ns/net").readlink() != ours:
            return
        time.sleep(POLL_S)
    raise OSError("it has no network namespace of its own; is this root?")


def _configure_inside(pid: int, address: ipaddress.IPv4Address) -> None:
    """Brings up the devices in a process's network namespace.

    A thread joins the namespace and ends: setns(2) is per thread. pyroute2's own way (NetNS) forks this process, and a
    fork that fails half-way would unwind our clean-up in the child as well.
    """

    def configure() -> None:
        netns.setns(f"/proc/{pid}/ns/net", flags=0, fork=False)
        with IPRoute() as inside:
            for name in ("lo", "eth0"):
                inside.link("set", index=inside.link_lookup(ifname=name)[0], state="up")
            eth0 = inside.link_lookup(ifname="eth0")[0]
            inside.addr("add", index=eth0, address=str(address), prefixlen=24)

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(configure).result()


@contextmanager
def running(
    program: Program, port: int, prefix: list[str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a function's program until the block ends."""
    process = launch(program, port, prefix)
    try:
        yield process
    finally:
        end(process, STOP_WAIT_S)


def launch(program: Program, port: int, prefix: list[str] | None = None) -> subprocess.Popen[bytes]:
    """Starts a function's program with its image's environment and its port."""
    program.prepare(port)
    return subprocess.Popen(
        [*(prefix or []), *program.command()],
        env=program.environment(port),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_200(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Asks until the answer is a 200, every 0.2 ms: the wait is part of a launch time."""
    deadline_ns = time.monotonic_ns() + int(READY_WAIT_S * 1e9)
    while not _answers(host, port):
        status = process.poll()
        if status is not None:
            raise TargetFailed(f"{process.args!r} ended with status {status} before it answered")
        if time.monotonic_ns() > deadline_ns:
            raise TargetFailed(f"{process.args!r} does not answer on {host}:{port}")
        time.sleep(POLL_S)


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1) as client:
            client.sendall(PROBE)
            response = http.client.HTTPResponse(client)
            response.begin()
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _free_network() -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """Addresses of the host and of the guest."""
    network = free_subnet(213)
    return network[1], network[2]


def free_subnet(second: int) -> ipaddress.IPv4Network:
    """A /24 of 10.`second`.0.0/16 that no route of this host covers but the default one.

    Raises:
        TargetFailed: there is none.
    """
    with IPRoute() as route:
        used = [
            ipaddress.ip_network(f"{one.get_attr('RTA_DST')}/{one['dst_len']}")
            for one in route.get_routes(family=socket.AF_INET)
            if one["dst_len"] > 0
        ]
    for third in range(1, 255):
        subnet = ipaddress.IPv4Network(f"10.{second}.{third}.0/24")
        if not any(subnet.overlaps(one) for one in used):
            return subnet
    raise TargetFailed(
        f"every network of 10.{second}.0.0/16 is in use: remove stale bridges (ip link)"
    )
