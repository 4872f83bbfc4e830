"""Power of one GPU at its highest clock against what it does, as fractions of its TDP.

A100: measured by Splitwise's authors for BLOOM-176B (TP 8) and Llama2-70B (TP 2, 4, 8). The rest is modelled on two
regularities of those rows:

- decode power above idle rises with the bytes of weights that a GPU holds, for they are what keeps its memory busy;
- prefill power climbs from there to TDP with the logarithm of the work in an iteration (tokens x parameters per GPU).

H100: the same shapes, with idle and decode levels fitted to quoted figures (data/power_anchors.csv).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from inference.errors import ProfileError
from inference.models.catalog import MODELS
from inference.models.profile import DATA, Profile, read_profile

Float64 = npt.NDArray[np.float64]

A100_IDLE = 0.15
"""MODELLED: the rows whose window was mostly idle average 0.17 to 0.18, so idle lies below that: 60 W of 400."""

HALF_BATCH = 128.0
"""MODELLED: batch at which half of decode power's rise with the batch has come. The rise is in proportion up to 16 (all
that was measured on the A100) and reaches the quoted figure for 511 requests without passing TDP."""

PEAK = 1.02
"""Median of the measured peaks of prefills that fill the GPU; over TDP, as spikes are shorter than its control loop."""

WORK_FROM, WORK_FULL = 1.1e12, 1.3e13
"""Bytes of weights x tokens / 2 per GPU and iteration, at which an A100's prefill leaves decode power and reaches TDP."""

H100_SPEEDUP = 2.1
"""Prefill rate of an H100 over an A100 in the measured tables (2,048 tokens, both models): it takes more work to fill."""


@dataclass(frozen=True, slots=True, eq=False)
class PowerCurve:
    """Fractions of TDP at the highest clock; may exceed 1 where a GPU would throttle.

    Attributes:
        idle: nothing runs.
        level: decode of a single request, without the batch's part.
        growth: of power above idle, from a single request to an endless batch.
        tokens_log2, prefill: points of the prefill curve, interpolated in the logarithm of tokens.
        tokens_range, batch_range: of the rows or figures behind it, measured, quoted or modelled; the curve goes on beyond.
    """

    idle: float
    level: float
    growth: float
    tokens_log2: Float64
    prefill: Float64
    tokens_range: tuple[int, int]
    batch_range: tuple[int, int]

    def decode_fraction(self, batch: int) -> float:
        """Of an iteration that decodes `batch` requests. Context changes its length, not its power (Splitwise, figure 8)."""
        return self.idle + (self.level - self.idle) * (1 + self.growth * saturation(batch))

    def prefill_fraction(self, tokens: int) -> float:
        """Of an iteration that prefills `tokens`."""
        return float(np.interp(math.log2(max(1, tokens)), self.tokens_log2, self.prefill))

    def compute_bound(self, tokens: int) -> float:
        """How far a prefill of `tokens` has come from a decode's power to that of a full GPU, 0 to 1."""
        way = float(self.prefill[-1]) - self.level
        return (self.prefill_fraction(tokens) - self.level) / way if way > 0 else 1.0


def saturation(batch: float) -> float:
    """How much of the rise with the batch has come, 0 to 1."""
    return batch / (batch + HALF_BATCH)


@cache
def anchors() -> Mapping[str, float]:
    """The quoted figures by name."""
    profile = read_profile(
        DATA / "power_anchors.csv", ("value",), ("name", "used_as", "source", "unit")
    )
    return MappingProxyType(
        dict(zip(profile.labels["name"], profile.numbers["value"].tolist(), strict=True))
    )


@cache
def a100_profile() -> Profile:
    """The measured rows."""
    numbers = ("tp", "prompt_tokens", "batch", "peak_fraction", "average_fraction", "repeats")
    return read_profile(
        DATA / "power_a100-80gb.csv", numbers, ("model",), ("model", "tp", "prompt_tokens", "batch")
    )


@cache
def measured_curves() -> Mapping[tuple[str, int], PowerCurve]:
    """Curves of the models and TPs that were measured on the A100, by (model, tp)."""
    profile = a100_profile()
    names = np.array(profile.labels["model"])
    curves = {}
    for name, tp in sorted(set(zip(profile.labels["model"], profile.numbers["tp"], strict=True))):
        rows = (names == name) & (profile.numbers["tp"] == tp)
        columns = {key: column[rows] for key, column in profile.numbers.items()}
        curves[(name, int(tp))] = _measured_curve(columns)
    return MappingProxyType(curves)


def _measured_curve(columns: Mapping[str, Float64]) -> PowerCurve:
    of_batch = columns["prompt_tokens"] == 512
    batches, averages = columns["batch"][of_batch], columns["average_fraction"][of_batch]
    rise = batches / (batches + HALF_BATCH)
    slope, start = (float(value) for value in np.polyfit(rise, averages, 1))
    work = columns["prompt_tokens"] * columns["batch"]
    tokens = np.unique(work)
    peaks = np.array([float(np.median(columns["peak_fraction"][work == one])) for one in tokens])
    # A longer prefill never draws less; where the meter missed a peak, the shorter one's stands.
    rising = np.maximum.accumulate(np.concatenate(([start], peaks)))
    return PowerCurve(
        idle=A100_IDLE,
        level=start,
        growth=slope / (start - A100_IDLE),
        tokens_log2=np.log2(np.concatenate(([1.0], tokens))),
        prefill=rising,
        tokens_range=(int(tokens[0]), int(tokens[-1])),
        batch_range=(int(batches.min()), int(batches.max())),
    )


def a100_curve(weights_bytes_per_gpu: float) -> PowerCurve:
    """A model or TP that nobody measured on the A100, from the regularities of those that somebody did."""
    curves = measured_curves().values()
    growth = float(np.median([curve.growth for curve in curves]))
    level = A100_IDLE + _a100_dynamic(weights_bytes_per_gpu)
    return _modelled(A100_IDLE, level, growth, weights_bytes_per_gpu, 1.0, (1, 16))


def h100_curve(weights_bytes_per_gpu: float, tdp_w: float) -> PowerCurve:
    """Any model on the H100: quoted levels for Llama-3.1-70B on four, the A100's shape over weights per GPU."""
    quoted = anchors()
    idle = quoted["h100_idle_8_gpus"] / 8 / tdp_w
    low, high = (saturation(quoted[f"h100_4_gpus_batch_{end}"]) for end in ("low", "high"))
    fractions = [quoted[f"h100_4_gpus_power_{end}"] / 4 / tdp_w for end in ("low", "high")]
    slope = (fractions[1] - fractions[0]) / (high - low)
    start = fractions[0] - slope * low
    growth = slope / (start - idle)
    shape = _a100_dynamic(weights_bytes_per_gpu) / _a100_dynamic(
        MODELS["llama3.1-70b"].weights_bytes / 4
    )
    level = idle + (start - idle) * shape
    batches = (int(quoted["h100_4_gpus_batch_low"]), int(quoted["h100_4_gpus_batch_high"]))
    return _modelled(idle, level, growth, weights_bytes_per_gpu, H100_SPEEDUP, batches)


def _a100_dynamic(weights_bytes_per_gpu: float) -> float:
    """Decode level above idle on the A100 by weights per GPU: a power law between the measured ones and beyond them."""
    known = sorted(
        (MODELS[name].weights_bytes / tp, curve.level - curve.idle)
        for (name, tp), curve in measured_curves().items()
    )
    sizes, levels = (np.log([point[axis] for point in known]) for axis in (0, 1))
    at = math.log(weights_bytes_per_gpu)
    end = 0 if at < sizes[0] else -1
    if sizes[0] <= at <= sizes[-1]:
        return math.exp(float(np.interp(at, sizes, levels)))
    inner = 1 if end == 0 else -2
    slope = (levels[end] - levels[inner]) / (sizes[end] - sizes[inner])
    return math.exp(float(levels[end] + slope * (at - sizes[end])))


def _modelled(
    idle: float,
    level: float,
    growth: float,
    weights_bytes_per_gpu: float,
    speedup: float,
    batch_range: tuple[int, int],
) -> PowerCurve:
    start = min(level, PEAK)
    tokens_from = max(1.0, WORK_FROM * speedup * 2 / weights_bytes_per_gpu)
    tokens_full = tokens_from * WORK_FULL / WORK_FROM
    return PowerCurve(
        idle=idle,
        level=start,
        growth=growth,
        tokens_log2=np.log2([tokens_from, tokens_full]),
        prefill=np.array([start, PEAK]),
        tokens_range=(128, 8192),
        batch_range=batch_range,
    )


def known_gpu(name: str) -> str:
    """Family of a GPU by name: "a100" or "h100".

    Raises:
        ProfileError: no power is known of it.
    """
    family = _FAMILIES.get(name)
    if family is None:
        raise ProfileError(
            "power model", "gpu", f"expected one of {sorted(_FAMILIES)}, found {name!r}"
        )
    return family


_FAMILIES = {
    "a100-80gb": "a100",
    "v100-32gb": "a100",
    "h100-80gb": "h100",
    "h100-80gb-pcap": "h100",
}
