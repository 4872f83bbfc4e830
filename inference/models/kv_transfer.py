"""How long a KV cache's transfer is seen by its request, uncontended (Splitwise, section 4.3).

A prefill's cache can be sent when all of it exists (serialized), or layer by layer while the prefill goes on: then only
what could not be hidden behind it remains, and a constant for the last layer and the synchronisation.
"""

from dataclasses import dataclass

from inference.domain.replica import Gpu
from inference.models.provenance import Origin, Provenance

PROVENANCE = Provenance(
    Origin.QUOTED,
    "Splitwise authors",
    "two DGX-A100 (200 Gb/s ports) and two DGX-H100 (400 Gb/s)",
    "2023",
    "Splitwise (ISCA'24), section 6.2 and figure 14",
    "constants of the layer-wise transfer; the serialized one is bytes by bandwidth",
)

COMPAT_PROVENANCE = Provenance(
    Origin.QUOTED,
    "Splitwise authors",
    "their simulator's links",
    "2024",
    "splitwise-sim's configuration of its interconnect",
    "200 GiB/s for each transfer by itself, whatever else goes on: faster than any port of the paper's machines",
)

_RESIDUAL_NS = {"a100": 8_000_000, "h100": 5_000_000}

SPLITWISE_SIM_BYTES_PER_S = 200 * (1 << 30)
"""What splitwise-sim gives each transfer for itself, whatever else goes on: 200 GiB/s."""


def residual_ns(gpu: Gpu) -> int:
    """What a layer-wise transfer always costs: 8 ms on A100, 5 ms on H100; others count as A100."""
    return _RESIDUAL_NS.get(gpu.name.split("-")[0], _RESIDUAL_NS["a100"])


@dataclass(frozen=True, slots=True)
class KvPath:
    """The way from one replica's memory to another's.

    Attributes:
        bytes_per_s: of the slower end, all its GPUs' ports together.
        layers: of the model, that a layer-wise transfer overlaps by.
        residual_ns: what a layer-wise transfer always costs.
    """

    bytes_per_s: float
    layers: int
    residual_ns: int

    def serialized_ns(self, kv_bytes: int) -> int:
        """Time after the prefill: all bytes by the bandwidth."""
        return round(kv_bytes / self.bytes_per_s * 1e9)

    def layerwise_ns(self, kv_bytes: int, prefill_ns: int) -> int:
        """Time after the prefill: the constant, or what its layers but the first could not hide."""
        return max(
            self.residual_ns, round(self.left_bytes(kv_bytes, prefill_ns) / self.bytes_per_s * 1e9)
        )

    def left_bytes(self, kv_bytes: int, prefill_ns: int) -> int:
        """Bytes of a layer-wise transfer that are not sent when the prefill ends, if it had the path for itself."""
        hidden_ns = prefill_ns * (self.layers - 1) / self.layers
        return max(0, kv_bytes - int(hidden_ns * self.bytes_per_s / 1e9))


def kv_path(source: Gpu, source_tp: int, target: Gpu, target_tp: int, layers: int) -> KvPath:
    """The path between two replicas: each GPU sends or receives its shard through its own port."""
    ends = (source.link_bytes_per_s * source_tp, target.link_bytes_per_s * target_tp)
    return KvPath(min(ends), layers, residual_ns(source))
