"""Facts about this host's own network: its addresses, which no function may reach, and its resolvers."""

import asyncio
import ipaddress
from pathlib import Path

from pyroute2 import IPRoute

DNS_PORT = 53
FALLBACK_DNS = ("1.1.1.1:53", "8.8.8.8:53")
"""Asked where the host names no resolver of its own."""

ALWAYS_DENIED = (
    "127.0.0.0/8",
    "0.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "100.64.0.0/10",
    "192.0.0.0/24",
    "168.63.129.16/32",
)
"""Loopback, this-network, link-local and multicast; then where clouds have metadata and control services beside
link-local: shared address space (RFC 6598), protocol assignments (RFC 6890), and Azure's wire server."""


async def addresses() -> list[str]:
    """Every IPv4 and IPv6 address of this host, as /32 and /128 networks.

    Raises:
        OSError: the kernel refused the netlink query.
    """
    # uvloop opens no netlink sockets, so the query runs beside it, on an ordinary loop of its own thread.
    return await asyncio.to_thread(_addresses)


def _addresses() -> list[str]:
    found = []
    with IPRoute() as netlink:
        for message in netlink.get_addr():
            address = message.get("IFA_LOCAL") or message.get("IFA_ADDRESS")
            if address:
                parsed = ipaddress.ip_address(address)
                found.append(f"{parsed}/{parsed.max_prefixlen}")
    return sorted(set(found))


def denied(own: list[str], network: str, further: tuple[str, ...]) -> list[str]:
    """IPv4 networks out of reach: the host itself, other sandboxes' addresses, and what the operator names.

    Functions have IPv4 only, so IPv6 networks need no entry.
    """
    every = {*ALWAYS_DENIED, *own, network, *further}
    return sorted(one for one in every if ipaddress.ip_network(one).version == 4)


def dns_upstreams(resolv_conf: Path) -> list[str]:
    """The resolvers of a resolv.conf (resolv.conf(5)) as ADDRESS:PORT; the fallback where it names none."""
    try:
        lines = resolv_conf.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    found = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                address = ipaddress.ip_address(words[1].split("%")[0])
            except ValueError:
                continue
            host = f"[{address}]" if address.version == 6 else str(address)
            found.append(f"{host}:{DNS_PORT}")
    return found or list(FALLBACK_DNS)
