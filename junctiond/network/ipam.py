"""Slots: one small number per sandbox, from which its address and its uid range follow. Pure.

One number instead of two leases means that the two can never disagree. Slots are given in turn rather than lowest
first: an address that was just freed rests as long as possible, so that a late packet or a cached name does not reach a
stranger.
"""

import ipaddress
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from junctiond.errors import HostError, Reason

UIDS_PER_SANDBOX = 65_536
UID_MAX = 2**32 - 2
"""The kernel keeps the last uid for "none"."""


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """How slots map to addresses and uids. The network's first address is the gateway's."""

    network: ipaddress.IPv4Network
    uid_base: int

    @property
    def gateway(self) -> str:
        """What functions see as the platform: gateway and resolver."""
        return str(self.network.network_address + 1)

    @property
    def slots(self) -> int:
        """How many sandboxes fit: neither addresses nor uids may run out."""
        addresses = self.network.num_addresses - 3  # network, gateway, broadcast
        uids = (UID_MAX + 1 - self.uid_base) // UIDS_PER_SANDBOX
        return max(0, min(addresses, uids))

    def address(self, slot: int) -> str:
        """The sandbox's own address."""
        return str(self.network.network_address + 2 + slot)

    def uid(self, slot: int) -> int:
        """The first of the sandbox's host uids."""
        return self.uid_base + slot * UIDS_PER_SANDBOX


def next_slot(plan: AddressPlan, leased: AbstractSet[int], last: int) -> int:
    """The first free slot after `last`, wrapping around.

    Raises:
        HostError: launch_failed, every slot is leased.
    """
    for step in range(1, plan.slots + 1):
        slot = (last + step) % plan.slots
        if slot not in leased:
            return slot
    raise HostError(
        Reason.LAUNCH_FAILED,
        f"all {plan.slots} addresses of {plan.network} are in use: choose a larger network",
    )
