"""Time and power of one server of the row at each SM clock, as small grids that whole columns of requests look up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.models.protocols import LatencyModel, PowerModel
from inference.models.provenance import Provenance

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

GRID_TOKENS = (1, 128, 256, 512, 1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Lengths at which a model is asked; lengths between them are interpolated, longer ones take the last slope."""


@dataclass(frozen=True, slots=True, eq=False)
class ClockProfile:
    """One server at one clock, serving one request at a time. Watts are of the whole server.

    Attributes:
        clock_mhz: SM clock.
        tokens: grid of lengths, rising.
        prefill_ns: of a prompt of each length.
        token_ns: of one decode iteration at each context.
        prefill_w: mean power while it prefills each length.
        decode_w: power while it decodes.
    """

    clock_mhz: int
    tokens: Float64
    prefill_ns: Float64
    token_ns: Float64
    prefill_w: Float64
    decode_w: float

    def prefill_time_ns(self, prompt_tokens: Int64) -> Int64:
        """Time until the first token of each request, once it is served; at least 1."""
        return np.maximum(self._look_up(prompt_tokens, self.prefill_ns), 1.0).astype(np.int64)

    def decode_time_ns(self, prompt_tokens: Int64, output_tokens: Int64) -> Int64:
        """Time of the tokens after the first: each at the mean context of its request."""
        context = prompt_tokens + output_tokens / 2.0
        each = self._look_up(context, self.token_ns)
        return np.asarray((output_tokens - 1) * each, dtype=np.int64)

    def prefill_power_w(self, prompt_tokens: Int64) -> Float64:
        """Power of the server while it prefills each request."""
        return np.interp(prompt_tokens, self.tokens, self.prefill_w)

    def _look_up(self, at: npt.NDArray[np.int64 | np.float64], values: Float64) -> Float64:
        found = np.interp(at, self.tokens, values)
        if at.size and at.max() > self.tokens[-1]:
            beyond = at > self.tokens[-1]
            slope = (values[-1] - values[-2]) / (self.tokens[-1] - self.tokens[-2])
            found = np.where(beyond, values[-1] + slope * (at - self.tokens[-1]), found)
        return found


class ServerProfile(Protocol):
    """A kind of server at any clock."""

    @property
    def clock_mhz_max(self) -> int:
        """SM clock where nothing caps it."""
        ...

    @property
    def idle_w(self) -> float:
        """The server with its model loaded and nothing to do."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Where its figures come from."""
        ...

    def at_clock(self, clock_mhz: int) -> ClockProfile:
        """Its grids at a clock; the same object for the same clock."""
        ...


class ModelledServer:
    """A `ServerProfile` out of a latency and a power model of the GPUs, and the power of the server around them."""

    def __init__(
        self,
        latency: LatencyModel,
        power: PowerModel,
        server_w: Callable[[float], float],
        clock_mhz_max: int,
        provenance: Provenance,
    ) -> None:
        """Bind the models; they are asked once for each clock.

        Args:
            latency: of the replica.
            power: of all its GPUs.
            server_w: power of the whole server when its GPUs draw so much.
            clock_mhz_max: the clock where nothing caps it.
            provenance: the weakest of the three.
        """
        self._latency = latency
        self._power = power
        self._server_w = server_w
        self._clock_mhz_max = clock_mhz_max
        self._provenance = provenance
        self._clocks: dict[int, ClockProfile] = {}

    @property
    def clock_mhz_max(self) -> int:
        """SM clock where nothing caps it."""
        return self._clock_mhz_max

    @property
    def idle_w(self) -> float:
        """The server with its model loaded and nothing to do."""
        return self._server_w(self._power.idle_w)

    @property
    def provenance(self) -> Provenance:
        """Where its figures come from."""
        return self._provenance

    def at_clock(self, clock_mhz: int) -> ClockProfile:
        """Its grids at a clock."""
        if clock_mhz not in self._clocks:
            self._clocks[clock_mhz] = self._sampled(clock_mhz)
        return self._clocks[clock_mhz]

    def _sampled(self, clock_mhz: int) -> ClockProfile:
        latency = self._latency.at_clock(clock_mhz)
        power = self._power.at_clock(clock_mhz)
        return ClockProfile(
            clock_mhz,
            np.array(GRID_TOKENS, dtype=np.float64),
            np.array([latency.prefill_ns(tokens, 0) for tokens in GRID_TOKENS], dtype=np.float64),
            np.array([latency.decode_ns(1, tokens, 1) for tokens in GRID_TOKENS], dtype=np.float64),
            np.array([self._server_w(power.prefill_w(tokens)) for tokens in GRID_TOKENS]),
            self._server_w(power.decode_w(1, 2048)),
        )
