"""Latency and power of the stated form, for tests of what is built on the protocols."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FormLatency:
    """Affine iterations; `prefill_clocked` and `decode_clocked` of their time go as 1/clock."""

    clock_mhz: int = 1980
    clock_mhz_max: int = 1980
    prefill_base_ms: float = 20.0
    prefill_token_ms: float = 0.06
    decode_base_ms: float = 25.0
    decode_request_ms: float = 0.1
    decode_context_ms: float = 0.00005
    prefill_clocked: float = 0.9
    decode_clocked: float = 0.15

    def _stretch(self, clocked: float) -> float:
        return 1 - clocked + clocked * self.clock_mhz_max / self.clock_mhz

    def prefill_ns(self, tokens: int, context_tokens: int) -> int:
        ms = self.prefill_base_ms + self.prefill_token_ms * tokens
        return round(ms * self._stretch(self.prefill_clocked) * 1e6)

    def decode_ns(self, batch: int, context_tokens: int, iterations: int) -> int:
        growth = batch * (iterations - 1) / 2
        ms = self.decode_base_ms + self.decode_request_ms * batch
        ms += self.decode_context_ms * (context_tokens + growth)
        return round(ms * iterations * self._stretch(self.decode_clocked) * 1e6)

    def mixed_ns(self, tokens: int, prefill_context: int, batch: int, context_tokens: int) -> int:
        return self.prefill_ns(tokens + batch, prefill_context)

    def decodes_begun(self, batch: int, context_tokens: int, elapsed_ns: int) -> int:
        return 1 + elapsed_ns // self.decode_ns(batch, context_tokens, 1)

    def at_clock(self, clock_mhz: int) -> "FormLatency":
        return FormLatency(clock_mhz, self.clock_mhz_max)


@dataclass(frozen=True, slots=True)
class FormPower:
    """Three levels: idle, decode, prefill."""

    idle_w: float = 100.0
    decode_level_w: float = 400.0
    prefill_level_w: float = 700.0

    def prefill_w(self, tokens: int) -> float:
        return self.prefill_level_w

    def decode_w(self, batch: int, context_tokens: int) -> float:
        return self.decode_level_w

    def mixed_w(self, tokens: int, batch: int, context_tokens: int) -> float:
        return self.prefill_level_w

    def at_clock(self, clock_mhz: int) -> "FormPower":
        return self
