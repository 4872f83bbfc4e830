"""How iteration times stretch when the SM clock is lowered. MODELLED: no public sweep of clocks exists for these models.

Time splits into a compute-bound part and a memory-bound part; of each, a share is inversely proportional to the clock:

    t(f) = t(f_max) * (1 + share * (f_max / f - 1))

The compute-bound part (matrix products of a prefill beyond what reading the weights takes anyway) follows the clock but
for its all-reduces and element-wise kernels. The memory-bound part (reading weights and KV cache: every decode) hardly
does. The shares are chosen to agree with what is published:

- Greener LLMs (2403.20306): at 1.6 instead of 2.0 GHz about the same throughput (ours: decode 3.6 % slower);
- Splitwise (figure 9): halving an H100's power is almost free for decode and costly for prefill (times 1.30 in its
  simulator, which our compute part reaches at 1.48 GHz);
- POLCA: at most 7 % slower requests at up to 20 % less peak power, on A100 at 1110 to 1305 of 1410 MHz (ours: decode
  5.4 % slower at 1110 MHz, 2.1 % at 1275 MHz).
"""

from dataclasses import dataclass

from inference.domain.replica import Gpu
from inference.models.provenance import Origin, Provenance

PROVENANCE = Provenance(
    Origin.MODELLED,
    "junctiond",
    "A100 and H100",
    "2026",
    "assumption, checked against Greener LLMs, Splitwise figure 9 and POLCA",
    "shares of time inversely proportional to the SM clock: compute 0.9; memory 0.15 (H100), 0.2 (others)",
)


@dataclass(frozen=True, slots=True)
class ClockLaw:
    """Shares of time that are inversely proportional to the SM clock.

    Attributes:
        compute_share: of the compute-bound part, 0 to 1.
        memory_share: of the memory-bound part, 0 to 1.
    """

    compute_share: float
    memory_share: float

    def compute_stretch(self, clock_mhz: int, clock_mhz_max: int) -> float:
        """Factor on compute-bound time at `clock_mhz`; 1 at the highest clock."""
        return 1.0 + self.compute_share * (clock_mhz_max / clock_mhz - 1.0)

    def memory_stretch(self, clock_mhz: int, clock_mhz_max: int) -> float:
        """Factor on memory-bound time at `clock_mhz`; 1 at the highest clock."""
        return 1.0 + self.memory_share * (clock_mhz_max / clock_mhz - 1.0)


_H100 = ClockLaw(compute_share=0.9, memory_share=0.15)
# A share of 0.2 is the largest that keeps POLCA's bound (7 % at 1110 MHz) for a request that mostly decodes.
_OTHERS = ClockLaw(compute_share=0.9, memory_share=0.2)


def clock_law(gpu: Gpu) -> ClockLaw:
    """The law of a kind of GPU."""
    return _H100 if gpu.name.startswith("h100") else _OTHERS
