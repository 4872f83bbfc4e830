"""A replica: one routable instance of a model on some GPUs of one server."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """Which pool a replica belongs to at home (Splitwise, section 4)."""

    PREFILL = 0
    DECODE = 1
    MIXED = 2


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of accelerator, by its data sheet and list price; per GPU.

    Attributes:
        name: as profiles spell it ("h100-80gb").
        memory_bytes: capacity.
        memory_bytes_per_s: bandwidth of its memory.
        tflops: the figure of Splitwise's table 1 (FP32-class; only ratios between kinds are used).
        tdp_w: power limit of the data sheet.
        link_bytes_per_s: its share of the server's back-end network (one direction).
        clock_mhz_max, clock_mhz_min: range of the SM clock that policies may choose from.
        price_usd_per_h: rent of one GPU for an hour.
    """

    name: str
    memory_bytes: int
    memory_bytes_per_s: float
    tflops: float
    tdp_w: float
    link_bytes_per_s: float
    clock_mhz_max: int
    clock_mhz_min: int
    price_usd_per_h: float


@dataclass(frozen=True, slots=True)
class Model:
    """A transformer's sizes, as far as memory and transfers depend on them.

    Attributes:
        name: as profiles spell it ("llama2-70b").
        layers, hidden, heads, kv_heads, head_dim: of the published architecture; `kv_heads < heads` is GQA.
        weights_bytes: all parameters as served.
        dtype_bytes: of one element of the KV cache.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    weights_bytes: int
    dtype_bytes: int = 2

    @property
    def kv_bytes_per_token(self) -> int:
        """KV cache of one token over all layers: keys and values (Splitwise, section 2)."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.dtype_bytes


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """What a replica is made of.

    Attributes:
        gpu, model: kinds.
        tp: tensor parallelism = GPUs that it holds.
        role: its home pool.
        pool: index of the group of replicas that it is managed in (DynamoLLM's request-class pools); 0 where there is one.
        model_id: index of the model among those that the cluster serves.
        clock_mhz: SM clock at start; 0 for the GPU's highest.
        power_cap_w: per GPU; 0 for none.
    """

    gpu: Gpu
    model: Model
    tp: int
    role: Role = Role.MIXED
    pool: int = 0
    model_id: int = 0
    clock_mhz: int = 0
    power_cap_w: float = 0.0
