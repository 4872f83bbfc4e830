"""Energy and power of a run's GPUs: totals, by pool, by what the GPUs did, and per token.

All is GPU energy: servers, network and cooling around the GPUs are added, if at all, by the cost
and carbon models that a caller brings.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.results.distribution import quantiles
from inference.results.run import RunResult, Status

J_PER_WH = 3600.0
NS_PER_S = 1e9
S_PER_H = 3600.0


@dataclass(frozen=True, slots=True)
class PoolEnergy:
    """One pool: its replicas' energy, and how they spent the time for which they held GPUs.

    Attributes:
        name: of the pool.
        replicas: that ever were in it (by their last pool).
        gpu_h: GPUs times the time for which they were held.
        gpu_energy_j, gpu_energy_wh: over their lives, idle included.
        prefill_time_share, decode_time_share, mixed_time_share, idle_time_share: of GPU time; they
            sum to 1.
        prompt_tokens, output_tokens: processed there.
    """

    name: str
    replicas: int
    gpu_h: float
    gpu_energy_j: float
    gpu_energy_wh: float
    prefill_time_share: float
    decode_time_share: float
    mixed_time_share: float
    idle_time_share: float
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy and power of all GPUs of a run.

    Attributes:
        gpu_energy_j, gpu_energy_wh: of all replicas over their lives, idle included. NaN, with all
            that follows from it, where the run had no power model: iterations, but no joule.
        gpu_energy_j_per_output_token: total / output tokens of completed requests.
        gpu_energy_j_per_token: total / prompt and output tokens of completed requests.
        gpu_energy_wh_per_request: total / completed requests.
        idle_energy_share: of the total that no iteration took: 1 - requests' shares / total; NaN where
            the run does not attribute energy to requests.
        idle_time_share: of GPU time without an iteration.
        gpu_h: GPUs times the time for which they were held.
        gpus_mean: `gpu_h` / length of the run.
        power_w_mean: total energy / length of the run.
        power_w_p50, power_w_p99, power_w_max: over the samples of the series; NaN without one.
        pools: the same by pool.
    """

    gpu_energy_j: float
    gpu_energy_wh: float
    gpu_energy_j_per_output_token: float
    gpu_energy_j_per_token: float
    gpu_energy_wh_per_request: float
    idle_energy_share: float
    idle_time_share: float
    gpu_h: float
    gpus_mean: float
    power_w_mean: float
    power_w_p50: float
    power_w_p99: float
    power_w_max: float
    pools: tuple[PoolEnergy, ...]


def energy_of(run: RunResult) -> Energy:
    """Energy and power of a run; ratios with nothing to divide by are NaN."""
    requests = run.requests
    done = requests.status == Status.COMPLETED
    output_tokens = int(requests.output_tokens[done].sum())
    tokens = output_tokens + int(requests.prompt_tokens[done].sum())
    energy_j = _total_j(run)
    everywhere = np.ones(len(run.replicas.pool), dtype=np.bool_)
    whole = _pool(run, "all", everywhere)
    p50, p99, highest = _power_w(run)
    return Energy(
        gpu_energy_j=energy_j,
        gpu_energy_wh=energy_j / J_PER_WH,
        gpu_energy_j_per_output_token=ratio(energy_j, output_tokens),
        gpu_energy_j_per_token=ratio(energy_j, tokens),
        gpu_energy_wh_per_request=ratio(energy_j / J_PER_WH, int(done.sum())),
        idle_energy_share=_idle_energy(run, energy_j),
        idle_time_share=whole.idle_time_share,
        gpu_h=whole.gpu_h,
        gpus_mean=ratio(whole.gpu_h * S_PER_H * NS_PER_S, run.end_ns),
        power_w_mean=ratio(energy_j * NS_PER_S, run.end_ns),
        power_w_p50=p50,
        power_w_p99=p99,
        power_w_max=highest,
        pools=tuple(
            _pool(run, pool_name(run, int(pool)), run.replicas.pool == pool)
            for pool in np.unique(run.replicas.pool)
        ),
    )


def pool_name(run: RunResult, pool: int) -> str:
    """Name of a pool; its number where the run names fewer."""
    return run.pools[pool] if 0 <= pool < len(run.pools) else f"pool {pool}"


def ratio(part: float, whole: float) -> float:
    """A quotient; NaN where there is nothing to divide by."""
    return part / whole if whole else math.nan


def _pool(run: RunResult, name: str, mine: npt.NDArray[np.bool_]) -> PoolEnergy:
    replicas = run.replicas
    tp = replicas.tp[mine]
    # Weighted by GPUs: an idle TP8 replica leaves eight of them idle.
    gpu_ns = float((tp * (replicas.stopped_ns - replicas.started_ns)[mine]).sum())
    prefill_ns, decode_ns, mixed_ns = (
        float((tp * column[mine]).sum())
        for column in (replicas.prefill_ns, replicas.decode_ns, replicas.mixed_ns)
    )
    counted = not math.isnan(_total_j(run))
    energy_j = float(replicas.energy_j[mine].sum()) if counted else math.nan
    return PoolEnergy(
        name=name,
        replicas=int(mine.sum()),
        gpu_h=gpu_ns / NS_PER_S / S_PER_H,
        gpu_energy_j=energy_j,
        gpu_energy_wh=energy_j / J_PER_WH,
        prefill_time_share=ratio(prefill_ns, gpu_ns),
        decode_time_share=ratio(decode_ns, gpu_ns),
        mixed_time_share=ratio(mixed_ns, gpu_ns),
        idle_time_share=ratio(gpu_ns - prefill_ns - decode_ns - mixed_ns, gpu_ns),
        prompt_tokens=int(replicas.prompt_tokens[mine].sum()),
        output_tokens=int(replicas.output_tokens[mine].sum()),
    )


def _total_j(run: RunResult) -> float:
    total_j = float(run.replicas.energy_j.sum())
    return total_j if total_j or not run.replicas.iterations.any() else math.nan


def _idle_energy(run: RunResult, energy_j: float) -> float:
    attributed_j = float(run.requests.energy_j.sum())
    if not attributed_j and int(run.replicas.iterations.sum()):
        return math.nan
    return ratio(energy_j - attributed_j, energy_j)


def _power_w(run: RunResult) -> tuple[float, float, float]:
    if run.series is None or not run.series.power_w.size or math.isnan(_total_j(run)):
        return math.nan, math.nan, math.nan
    p50, p99, highest = quantiles(run.series.power_w, (0.5, 0.99, 1.0))
    return p50, p99, highest
