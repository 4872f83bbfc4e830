"""Towards Greener LLMs (2403.20306): GR1 and GR2 on our profiles.

Profiles: latency from the context mode, power from `models.power`. Both follow clocks by modelled laws, so all figures are
MODELLED; the laws' constants come from other anchors than these targets, and `law_range` shows how much rests on them.
"""

import itertools
import math
import time
from collections.abc import Sequence

import numpy as np

from inference.domain.replica import Model
from inference.experiments.outcome import Runs, Target
from inference.models.catalog import GPUS, MODELS, model_by_name
from inference.models.explorer import BATCHES, TPS, Candidate, Surface, candidate, explore
from inference.models.power import power_model
from inference.models.power_clock import UNCLOCKED_PREFILL_H100, ClockPowerLaw

SLOWER_MHZ, FASTEST_MHZ = 1600, 1980
"""The paper compares 1.6 with 2.0 GHz; the H100's highest SM clock is 1,980 MHz."""

CLOCKS_MHZ = (*range(800, FASTEST_MHZ, 20), FASTEST_MHZ)
LENGTHS = ((512, 256),)
SCENARIO = "profile explorer, h100-80gb, TP 2/4/8, batch 1 to 64, 512 in, 256 out"

LAWS = tuple(
    ClockPowerLaw(exponent, floor, UNCLOCKED_PREFILL_H100, unclocked)
    for exponent, floor, unclocked in itertools.product(
        (2.5, 3.0), (0.65, 0.75, 0.80), (0.25, 0.35, 0.45)
    )
)
"""Other laws of power against the clock, around the H100's."""


def greener_targets(model: str = "llama2-70b") -> tuple[Target, ...]:
    """GR1 and GR2, read off the explorer's surface.

    Raises:
        ScenarioError: no such model, or its weights do not fit at TP 2.
        ProfileError: the model is not profiled on the H100 at TP 2, 4 and 8.
    """
    started = time.process_time()
    replicas = [candidate(model_by_name(model), GPUS["h100-80gb"], tp) for tp in TPS]
    surface = explore(replicas, CLOCKS_MHZ, BATCHES, LENGTHS)
    surface = surface.where(surface.fits)
    lowest = _lowest_clocks(surface)
    saving, loss = _at_slower_clock(surface)
    rises = _rises_with_batch(surface)
    low, high = law_range(replicas, model_by_name(model))
    spent = time.process_time() - started

    target = Runs(f"{SCENARIO}, {model}", spent).target

    inside = (CLOCKS_MHZ[1], CLOCKS_MHZ[-2])
    spread = f"over batches and TP {min(lowest)} to {max(lowest)} MHz"
    return (
        target("GR1-clock-min", "lowest clock of least decode energy, over settings", "inside 800 … 1980 MHz",
               min(lowest), "MHz", inside[0], inside[1], spread),
        target("GR1-clock-max", "highest clock of least decode energy, over settings", "inside 800 … 1980 MHz",
               max(lowest), "MHz", inside[0], inside[1], spread),
        target("GR1-saving", "decode energy saved at 1.6 against 2.0 GHz, least over settings", "> 20 %",
               100 * float(saving.min()), "%", 20, math.inf,
               f"{100 * saving.min():.1f} to {100 * saving.max():.1f} %; under {len(LAWS)} other laws of power the least is "
               f"{100 * low:.1f} to {100 * high:.1f} %"),
        target("GR1-loss", "decode throughput lost at 1.6 against 2.0 GHz, most over settings", "about the same (≤ 5 %)",
               100 * float(loss.max()), "%", -math.inf, 5, "follows the law of models/clock.py"),
        target("GR2", "rises of energy per token when the batch doubles, all clocks and TP", "falls with batch (from memory)",
               rises, "count", 0, 0, f"{len(surface)} settings"),
    )  # fmt: skip


def law_range(
    replicas: Sequence[Candidate], model: Model = MODELS["llama2-70b"]
) -> tuple[float, float]:
    """Least and most of GR1's least saving under `LAWS`: how much of it the default law decides."""
    savings = []
    for law in LAWS:
        under = [_under(one, law, model) for one in replicas]
        surface = explore(under, (SLOWER_MHZ, FASTEST_MHZ), BATCHES, LENGTHS)
        savings.append(float(_at_slower_clock(surface.where(surface.fits))[0].min()))
    return min(savings), max(savings)


def _under(
    replica: Candidate, law: ClockPowerLaw, model: Model = MODELS["llama2-70b"]
) -> Candidate:
    power = power_model(model, GPUS["h100-80gb"], replica.tp, law)
    return Candidate(replica.tp, replica.latency, power, replica.tokens_max)


def _lowest_clocks(surface: Surface) -> list[int]:
    clocks = []
    for tp, batch in sorted(set(zip(surface.tp.tolist(), surface.batch.tolist(), strict=True))):
        over_clocks = surface.at(tp=tp, batch=batch)
        clocks.append(int(over_clocks.clock_mhz[int(np.argmin(over_clocks.decode_j_per_token))]))
    return clocks


def _at_slower_clock(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Shares of decode energy saved and of decode throughput lost, by setting."""
    slow, fast = surface.at(clock_mhz=SLOWER_MHZ), surface.at(clock_mhz=FASTEST_MHZ)
    saving = 1 - slow.decode_j_per_token / fast.decode_j_per_token
    return saving, 1 - fast.tbt_ms / slow.tbt_ms


def _rises_with_batch(surface: Surface) -> int:
    rises = 0
    for tp, clock in itertools.product(np.unique(surface.tp), np.unique(surface.clock_mhz)):
        over_batch = surface.at(tp=int(tp), clock_mhz=int(clock))
        energy = over_batch.energy_j_per_token[np.argsort(over_batch.batch)]
        rises += int((np.diff(energy) >= 0).sum())
    return rises
