"""The bridge of the functions, made by Debian's CNI plugins, with names and addresses of our own."""

import ipaddress
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute

from loadtests.baselines import TargetFailed, free_subnet

PLUGINS = Path("/usr/lib/cni")
CNI_CACHE = Path("/var/lib/cni/results")
VERSION = "0.4.0"


@dataclass(frozen=True, slots=True)
class Network:
    """A CNI network on one bridge.

    Attributes:
        name: of the network, and of its bridge.
        subnet: its addresses; the first is the host's.
        config: the configuration list for CNI clients.
        leases: where host-local keeps one file per address.
    """

    name: str
    subnet: ipaddress.IPv4Network
    config: Path
    leases: Path

    @property
    def host(self) -> str:
        """The host's address on the bridge."""
        return str(self.subnet[1])

    @contextmanager
    def namespace(self, suffix: str) -> Iterator[tuple[str, str]]:
        """A network namespace on the bridge for a process that is no container; yields its name and address."""
        name = f"{self.name}{suffix}"
        _command(["ip", "netns", "add", name])
        try:
            result = json.loads(self._plugin("ADD", name))
            yield name, str(ipaddress.ip_interface(result["ips"][0]["address"]).ip)
        finally:
            try:
                self._plugin("DEL", name)
            finally:
                _command(["ip", "netns", "del", name])

    def _plugin(self, command: str, namespace: str) -> bytes:
        """Calls the bridge plugin (CNI specification 0.4.0, parameters in the environment)."""
        bridge = json.loads(self.config.read_text())
        single = {"cniVersion": VERSION, "name": self.name, **bridge["plugins"][0]}
        environment = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": namespace,
            "CNI_NETNS": f"/run/netns/{namespace}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(PLUGINS),
        }
        return _command([str(PLUGINS / "bridge")], json.dumps(single).encode(), environment)


@contextmanager
def network(folder: Path, name: str) -> Iterator[Network]:
    """Describes a network with addresses that nobody else has; its bridge appears with its first user and is removed at the end."""
    if not (PLUGINS / "bridge").exists():
        raise TargetFailed(f"no CNI plugins in {PLUGINS}: make bench-faasd installs them")
    folder.mkdir(parents=True)
    found = Network(name, free_subnet(214), folder / "network.conflist", folder / "leases" / name)
    found.config.write_text(configuration(name, found.subnet, folder / "leases"))
    try:
        yield found
    finally:
        with IPRoute() as route:
            for index in route.link_lookup(ifname=name):
                route.link("del", index=index)
        for left in CNI_CACHE.glob(f"{name}-*"):
            left.unlink(missing_ok=True)


def configuration(name: str, subnet: ipaddress.IPv4Network, leases: Path) -> str:
    """The CNI configuration list: a bridge with addresses by host-local.

    Without masquerading and firewall plugins, unlike faasd's: functions here call nobody, and each packet is spared the
    rules. That favours the incumbent.
    """
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": str(subnet)}]],
        "dataDir": str(leases),
    }
    bridge = {"type": "bridge", "bridge": name, "isGateway": True, "ipam": ipam}
    return json.dumps({"cniVersion": VERSION, "name": name, "plugins": [bridge]}, indent=1)


def _command(
    command: list[str], stdin: bytes = b"", environment: dict[str, str] | None = None
) -> bytes:
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise TargetFailed(f"{' '.join(command)}: {said}")
    return done.stdout
