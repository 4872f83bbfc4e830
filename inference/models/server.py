"""Power of the server around the GPUs: CPUs, memory, fans, network, losses of the power supplies. MODELLED.

What the GPUs draw comes from `power.py`; here the rest is a line through the server's idle and full load. POLCA finds
GPUs at 50 to 60 % of a loaded server's power, so whoever plans a row must count both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from inference.domain.replica import Gpu
from inference.errors import ProfileError
from inference.models.profile import DATA, Profile, read_profile
from inference.models.provenance import Provenance

_NUMBERS = (
    "gpus",
    "provisioned_w",
    "gpus_idle_w",
    "gpus_full_w",
    "rest_idle_w",
    "rest_full_w",
)

# A kind of GPU that is another under a power limit sits in the same server.
_SEATED_AS = {"h100-80gb-pcap": "h100-80gb"}


@dataclass(frozen=True, slots=True)
class ServerKind:
    """A kind of server, by its powers in watts.

    Attributes:
        name: "dgx-a100".
        gpu: name of the GPUs inside.
        gpus: how many.
        provisioned_w: what its data sheet asks the row to provide.
        gpus_idle_w, gpus_full_w: of all its GPUs together, idle and at TDP.
        rest_idle_w, rest_full_w: of everything else, at those two points.
    """

    name: str
    gpu: str
    gpus: int
    provisioned_w: float
    gpus_idle_w: float
    gpus_full_w: float
    rest_idle_w: float
    rest_full_w: float

    def rest_w(self, gpus_w: float) -> float:
        """Power of all but the GPUs, while these draw `gpus_w` together; never below idle."""
        slope = (self.rest_full_w - self.rest_idle_w) / (self.gpus_full_w - self.gpus_idle_w)
        return self.rest_idle_w + slope * max(0.0, gpus_w - self.gpus_idle_w)

    def power_w(self, gpus_w: float) -> float:
        """Power of the whole server, while its GPUs draw `gpus_w` together."""
        return gpus_w + self.rest_w(gpus_w)

    def gpus_w(self, power_w: float) -> float:
        """Inverse of `power_w`: what its GPUs may draw while the server stays at `power_w`; 0 where even idle exceeds it."""
        idle_w = self.gpus_idle_w + self.rest_idle_w
        if power_w <= idle_w:
            return max(0.0, power_w - self.rest_idle_w)
        slope = (self.rest_full_w - self.rest_idle_w) / (self.gpus_full_w - self.gpus_idle_w)
        return self.gpus_idle_w + (power_w - idle_w) / (1 + slope)

    def provisioned_under_limit_w(self, gpu_limit_w: float) -> float:
        """What the row must provide where each GPU has a power limit below its TDP (Splitwise's HHcap)."""
        spared = self.gpus_full_w - self.gpus * gpu_limit_w
        return self.provisioned_w - max(0.0, spared)


@cache
def _profile() -> Profile:
    return read_profile(DATA / "power_servers.csv", _NUMBERS, ("name", "gpu"))


@cache
def servers() -> Mapping[str, ServerKind]:
    """All kinds by name."""
    profile = _profile()
    kinds = {}
    for row, name in enumerate(profile.labels["name"]):
        figures = {key: float(profile.numbers[key][row]) for key in _NUMBERS[1:]}
        gpus = int(profile.numbers["gpus"][row])
        kinds[name] = ServerKind(name, profile.labels["gpu"][row], gpus, **figures)
    return MappingProxyType(kinds)


def server_kind(gpu: Gpu) -> ServerKind:
    """The server that this kind of GPU sits in.

    Raises:
        ProfileError: no such server is known.
    """
    seated = _SEATED_AS.get(gpu.name, gpu.name)
    for kind in servers().values():
        if kind.gpu == seated:
            return kind
    known = sorted(kind.gpu for kind in servers().values())
    raise ProfileError("server power", "gpu", f"expected one of {known}, found {gpu.name!r}")


def server_provenance() -> Provenance:
    """Where the figures of all kinds come from."""
    return _profile().provenance
