"""What a meter is: counters of energy that only rise, each saying what it covers and whether it measures or models.

A reading is a `Sample` of raw counters; energy is always a difference of two samples (`inference.meters.delta`), because
counters begin anywhere, wrap, and begin anew when a driver is reloaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from inference.models.provenance import Origin


class Scope(StrEnum):
    """What a counter covers.

    HOST: everything behind the power supply: all the others and fans, disks and losses too.
    PLATFORM: the packages and whatever else the maker of the board wired to the same sensor (RAPL's psys).
    PACKAGE: a CPU socket with its cores and caches; on Intel without DRAM, on AMD with the I/O die.
    CORE, UNCORE: the cores of a package; its integrated graphics.
    DRAM: the memory that hangs on a package.
    GPU: one accelerator's board with its memory, all MIG instances together.
    """

    HOST = "host"
    PLATFORM = "platform"
    PACKAGE = "package"
    CORE = "core"
    UNCORE = "uncore"
    DRAM = "dram"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class Domain:
    """One counter.

    Attributes:
        name: unique in its meter ("package-0", "package-0/dram", "gpu-3").
        scope: what it covers.
        origin: MEASURED or MODELLED.
        inside: name of the domain whose energy includes this one's already; empty for none.
        wraps_at_uj: the counter begins at 0 again after this much; 0 where it never does in practice (64 bits).
        power_w_max: more than the device can draw: tells a wrap from a counter that was reset.
        note: what a reader of its figures should know.
    """

    name: str
    scope: Scope
    origin: Origin
    inside: str = ""
    wraps_at_uj: int = 0
    power_w_max: float = 2000.0
    note: str = ""

    @property
    def period_ns_max(self) -> int:
        """Time between two reads in which the counter cannot wrap twice; 0 for any."""
        return int(self.wraps_at_uj * 1000 / self.power_w_max)


@dataclass(frozen=True, slots=True)
class Coverage:
    """All that a meter reads.

    Attributes:
        source: the interface that it reads ("powercap", "NVML").
        domains: its counters.
    """

    source: str
    domains: tuple[Domain, ...]

    @property
    def scopes(self) -> frozenset[Scope]:
        """What it covers at all."""
        return frozenset(domain.scope for domain in self.domains)

    @property
    def origin(self) -> Origin:
        """The weakest of its parts: one modelled domain makes the whole modelled."""
        modelled = any(domain.origin is not Origin.MEASURED for domain in self.domains)
        return Origin.MODELLED if modelled else Origin.MEASURED

    @property
    def period_ns_max(self) -> int:
        """Longest time between two reads after which no wrap was missed; 0 for any."""
        return min((d.period_ns_max for d in self.domains if d.period_ns_max), default=0)


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters at one time.

    Attributes:
        time_ns: of the read, on the monotonic clock that the caller reads all its samples by.
        energy_uj: raw counter by domain name.
        failed: why a domain has no counter this time, by its name. It is never silently absent.
    """

    time_ns: int
    energy_uj: Mapping[str, int]
    failed: Mapping[str, str] = field(default_factory=dict)


class Meter(Protocol):
    """Reads energy counters of this host. One thread at a time."""

    @property
    def name(self) -> str:
        """As shown to people."""
        ...

    @property
    def coverage(self) -> Coverage:
        """What it reads; fixed for life."""
        ...

    def read(self, now_ns: int) -> Sample:
        """Read all counters. `now_ns` never goes back between calls.

        Raises:
            HardwareError: no domain could be read at all.
        """
        ...

    def close(self) -> None:
        """Give back what it holds. Reading afterwards is a mistake; closing twice is none."""
        ...
