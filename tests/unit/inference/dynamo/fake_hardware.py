"""Latency and power of a 70B model on H100-like GPUs, by roofline: good enough to test decisions, measured by nobody."""

from inference.domain.replica import Gpu, Model
from inference.models.provenance import Origin, Provenance
from inference.policies.dynamo.classes import PAPER_MIX, TABLE_IV
from inference.policies.dynamo.survey import Bench
from inference.policies.dynamo.workload import Component, Workload

MODEL = Model("fake-70b", 80, 8192, 64, 8, 128, 138_000_000_000)
GPU = Gpu("fake-gpu", 80 << 30, 3.35e12, 67.0, 700.0, 50e9, 1980, 800, 11.0)
MODELLED = Provenance(Origin.MODELLED, "a test", "a fake GPU", "", "roofline")


class FakeLatency:
    def __init__(self, tp: int, clock_mhz: int = 1980):
        self._tp = tp
        self._speed = clock_mhz / 1980

    def prefill_ns(self, tokens: int, context_tokens: int) -> int:
        return round(4e6 + tokens * 0.64e6 / float(self._tp**0.85) / self._speed)

    def decode_ns(self, batch: int, context_tokens: int, iterations: int) -> int:
        weights = MODEL.weights_bytes / (self._tp * 2.4e12)
        reads = context_tokens * MODEL.kv_bytes_per_token / (self._tp * 2.4e12)
        host = 4e-3 + 4e-3 / self._speed + batch * 0.1e-3 / self._tp / self._speed
        return round((weights + reads + host) * 1e9 * iterations)

    def mixed_ns(self, tokens: int, prefill_context: int, batch: int, context_tokens: int) -> int:
        return self.prefill_ns(tokens, prefill_context) + self.decode_ns(batch, context_tokens, 1)

    def decodes_begun(self, batch: int, context_tokens: int, elapsed_ns: int) -> int:
        return max(1, -(-elapsed_ns // self.decode_ns(batch, context_tokens, 1)))

    def at_clock(self, clock_mhz: int) -> "FakeLatency":
        return FakeLatency(self._tp, clock_mhz)


class FakePower:
    def __init__(self, tp: int, clock_mhz: int = 1980):
        self._tp = tp
        self._scale = (clock_mhz / 1980) ** 2

    @property
    def idle_w(self) -> float:
        return 69.0 * self._tp

    def prefill_w(self, tokens: int) -> float:
        return self._tp * (120.0 + 520.0 * self._scale)

    def decode_w(self, batch: int, context_tokens: int) -> float:
        return self._tp * (120.0 + (200.0 + min(200.0, 2.0 * batch)) * self._scale)

    def mixed_w(self, tokens: int, batch: int, context_tokens: int) -> float:
        return self.prefill_w(tokens)

    def at_clock(self, clock_mhz: int) -> "FakePower":
        return FakePower(self._tp, clock_mhz)


BENCH = Bench(MODEL, GPU, FakeLatency, FakePower, 69.0, MODELLED)

_PROMPT = (180.0, 560.0, 2100.0)
_OUTPUT = (65.0, 150.0, 420.0)


def workloads() -> tuple[Workload, ...]:
    made = []
    for class_id, kind in enumerate(TABLE_IV.classes):
        row, column = TABLE_IV.bins(class_id)
        prompt = _PROMPT[row]
        part = Component(
            1.0, prompt, prompt * 1.1, prompt * 1.4, _OUTPUT[column], kind.ttft_ms, kind.tbt_ms
        )
        made.append(Workload(kind.name, (part,)))
    return tuple(made)


def mixed_workload() -> Workload:
    parts = [
        work.components[0]._replace(share=share)
        for work, share in zip(workloads(), PAPER_MIX, strict=True)
    ]
    return Workload("all", tuple(parts))
