"""What a policy costs requests, against the same requests on a row without any limit; and how fast the brake takes hold."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.request import Priority
from inference.row.profile import ServerProfile
from inference.row.result import BIN_NS, TELEMETRY_BINS, RequestTimes, RowRun
from inference.row.simulator import busy_shares
from inference.row.workload import servers_by_workload

Float64 = npt.NDArray[np.float64]

SHAPE_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Added:
    """What requests of one priority lose; all in percent of the row without a limit.

    Attributes:
        p50, p99: that the percentile of latency rises.
        each_p50, each_p99: percentiles of what each request's latency rises by itself: stricter, for a request that waits
            for a slow one counts although the distribution hardly moves.
        throughput: output tokens that were not finished by the end.
        rate: output tokens lost for each second that a server is busy: the capacity that caps take.
    """

    p50: float
    p99: float
    each_p50: float
    each_p99: float
    throughput: float
    rate: float


def impact(run: RowRun, free: RowRun, priority: Priority) -> Added:
    """Compare a run with one of the same row without a limit.

    Raises:
        ValueError: they are not of the same row.
    """
    if (run.row.servers, run.row.seed, run.row.days, run.row.load) != (
        free.row.servers,
        free.row.seed,
        free.row.days,
        free.row.load,
    ):
        raise ValueError(f"{run.row.name} and {free.row.name} do not serve the same requests")
    ours, theirs = (np.percentile(one.latency_s(priority), [50, 99]) for one in (run, free))
    p50, p99 = 100.0 * (ours / theirs - 1.0)
    pairs = [
        _each(own, other)
        for own, other in zip(run.requests, free.requests, strict=True)
        if own.priority is priority
    ]
    each_p50, each_p99 = np.percentile(np.concatenate(pairs), [50, 99])
    tokens, all_tokens = (
        sum(int(part.output_tokens.sum()) for part in one.requests if part.priority is priority)
        for one in (run, free)
    )
    rate = run.tokens_per_busy_s(priority) / free.tokens_per_busy_s(priority)
    return Added(
        float(p50),
        float(p99),
        float(each_p50),
        float(each_p99),
        100.0 * (1.0 - tokens / all_tokens),
        100.0 * (1.0 - rate),
    )


def _each(own: RequestTimes, other: RequestTimes) -> Float64:
    _, here, there = np.intersect1d(own.index, other.index, assume_unique=True, return_indices=True)
    added: Float64 = 100.0 * (own.latency_ns[here] / other.latency_ns[there] - 1.0)
    return added


def brake_delays_s(run: RowRun) -> tuple[Float64, Float64]:
    """For each time that the brake took hold: how long power had been over the limit, and how long until it was below.

    Both count from the start of the first telemetry period over the limit since the brake was let go before.
    """
    samples = run.power_w.reshape(-1, TELEMETRY_BINS).mean(axis=1, dtype=np.float64)
    over = np.flatnonzero(samples > run.row.provisioned_w) * TELEMETRY_BINS
    below = np.flatnonzero(run.power_w <= run.row.provisioned_w)
    held_after, back_after = [], []
    free_since, held = 0, False
    for command in run.commands:
        if 0 not in command.servers or command.braked == held:
            continue
        held, at = command.braked, command.at_ns // BIN_NS
        if not held:
            free_since = at
            continue
        began = int(over[np.searchsorted(over, free_since - TELEMETRY_BINS)])
        held_after.append(at - began)
        back_after.append(int(below[np.searchsorted(below, at)]) - began)
    return np.array(held_after, dtype=np.float64), np.array(back_after, dtype=np.float64)


def shape_error(run: RowRun, profile: ServerProfile) -> float:
    """Mean absolute error, in percent, of five-minute means of power against the shape that the load was drawn from.

    The shape is of the load; its power is that of servers that are idle or serve a mean request of their workload. Only of
    use for a run that no policy slowed.
    """
    busy = busy_shares(run.row)
    busy = busy[: len(busy) // SHAPE_MINUTES * SHAPE_MINUTES].reshape(-1, SHAPE_MINUTES)
    counts = servers_by_workload(run.row.workloads, run.row.servers)
    clock = profile.at_clock(profile.clock_mhz_max)
    swing_w = 0.0
    for workload, count in zip(run.row.workloads, counts, strict=True):
        prompts, outputs = workload.lengths(20_000, np.random.default_rng([run.row.seed, 0]))
        prefill_ns = clock.prefill_time_ns(prompts)
        decode_ns = clock.decode_time_ns(prompts, outputs)
        energy = prefill_ns * clock.prefill_power_w(prompts) + decode_ns * clock.decode_w
        busy_w = float(energy.sum() / (prefill_ns + decode_ns).sum())
        swing_w += count * (busy_w - profile.idle_w)
    expected = profile.idle_w * run.row.servers + busy.mean(axis=1) * swing_w
    bins = SHAPE_MINUTES * 60
    found = run.power_w[: len(expected) * bins].reshape(-1, bins).mean(axis=1, dtype=np.float64)
    return float(100.0 * np.mean(np.abs(found / expected - 1.0)))
