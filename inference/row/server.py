"""The servers that POLCA's row is evaluated with: a DGX-A100 that serves BLOOM-176B over all eight GPUs."""

from typing import Literal

import numpy as np

from inference.models.catalog import GPUS, MODELS
from inference.models.latency import latency_model
from inference.models.power import power_model
from inference.models.provenance import Origin, Provenance
from inference.models.server import servers
from inference.row.profile import ClockProfile, ModelledServer, ServerProfile

GPUS_TYPICAL_W = 1400.0
"""Mean power of a server's GPUs over the weeks: 40 % idle, 60 % decoding. Fans follow the temperature over minutes, not the
GPUs' power over seconds, so the rest of the server draws what it draws at this mean."""

LOSS_PER_GPU_W = 0.06
"""Conversion losses, which follow the GPUs at once."""

TENSOR_PARALLEL = 8

ClockEffect = Literal["models", "quoted"]
"""Whose law of clocks: "models" is inference.models'; "quoted" is no more than what POLCA states for BLOOM."""

QUOTED_CLOCK_MHZ = 1110
QUOTED_POWER_CUT = 0.20
QUOTED_SLOWDOWN = 0.05


def server_w(gpus_w: float) -> float:
    """Power of the whole server within a second of its GPUs drawing `gpus_w`. MODELLED.

    GPUs are 51 % of the power of a server that decodes and 62 % of one that prefills; the paper says 50 to 60 %.
    """
    rest_w = servers()["dgx-a100"].rest_w(GPUS_TYPICAL_W)
    return gpus_w + rest_w + LOSS_PER_GPU_W * (gpus_w - GPUS_TYPICAL_W)


def bloom_server(effect: ClockEffect = "models") -> ServerProfile:
    """A DGX-A100 with BLOOM-176B, one request at a time."""
    gpu, model = GPUS["a100-80gb"], MODELS["bloom-176b"]
    provenance = Provenance(
        Origin.MODELLED,
        "junctiond",
        "DGX-A100, BLOOM-176B, TP 8, batch 1",
        "2026",
        "latency and GPU power of inference.models at the highest clock (measured rows of splitwise-sim, MIT)",
        "the server around the GPUs and the effect of clocks are modelled; clocks by "
        + ("models/clock.py and power_clock.py" if effect == "models" else "POLCA's figures alone"),
    )
    server = ModelledServer(
        latency_model(model, gpu, TENSOR_PARALLEL, "context"),
        power_model(model, gpu, TENSOR_PARALLEL),
        server_w,
        gpu.clock_mhz_max,
        provenance,
    )
    return server if effect == "models" else _Quoted(server)


class _Quoted:
    """The same server, whose clocks do just what POLCA says of BLOOM: 20 % less peak power at 5 % more time, at 1110 MHz.

    Power falls in proportion to the clock's distance from the highest; a prefill follows the clock, and a decode as much
    as is left of the 5 %. Below 1110 MHz (the brake) everything follows the clock.
    """

    def __init__(self, server: ModelledServer) -> None:
        self._server = server
        self._clocks: dict[int, ClockProfile] = {}

    @property
    def clock_mhz_max(self) -> int:
        return self._server.clock_mhz_max

    @property
    def idle_w(self) -> float:
        return self._server.idle_w

    @property
    def provenance(self) -> Provenance:
        return self._server.provenance

    def at_clock(self, clock_mhz: int) -> ClockProfile:
        if clock_mhz not in self._clocks:
            self._clocks[clock_mhz] = self._scaled(clock_mhz)
        return self._clocks[clock_mhz]

    def _scaled(self, clock_mhz: int) -> ClockProfile:
        top = self._server.at_clock(self.clock_mhz_max)
        ratio = self.clock_mhz_max / clock_mhz
        reached = (self.clock_mhz_max - clock_mhz) / (self.clock_mhz_max - QUOTED_CLOCK_MHZ)
        kept = 1.0 - QUOTED_POWER_CUT * reached
        decode = 1.0 + QUOTED_SLOWDOWN * reached if clock_mhz >= QUOTED_CLOCK_MHZ else ratio

        def lowered_w(watts: float) -> float:
            gpus_w = (watts - server_w(0.0)) / (1.0 + LOSS_PER_GPU_W)
            return max(server_w(gpus_w * kept), self.idle_w)

        return ClockProfile(
            clock_mhz,
            top.tokens,
            top.prefill_ns * ratio,
            top.token_ns * decode,
            np.array([lowered_w(watts) for watts in top.prefill_w]),
            lowered_w(top.decode_w),
        )
