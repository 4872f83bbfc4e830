"""The figures of one run, each defined once in docs/metrics.md, for reports and experiments."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.request import Priority
from inference.domain.slo import RequestClass, SlowdownSlo
from inference.results.attainment import Attainment, attainment
from inference.results.distribution import Distribution, distribution_of
from inference.results.energy import NS_PER_S, Energy, energy_of, ratio
from inference.results.run import RunResult, Status
from inference.results.slowdown import SPLITWISE_SLOS, Reference, Slowdowns, slowdowns
from inference.results.timings import Timings, completed

NS_PER_MS = 1e6

Price = Callable[[RunResult], float]


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies of completed requests, in milliseconds.

    Attributes:
        ttft_ms: arrival to first token.
        tbt_ms: Splitwise's (E2E - TTFT) / output tokens.
        tpot_ms: (completion - first token) / (tokens - 1), of requests of two tokens or more.
        second_token_ms: first to second token: decode wait and a mean decode iteration.
        e2e_ms: arrival to last token.
        queue_ms: arrival to the first prefill iteration.
        decode_wait_ms: first token to the first decode iteration.
        transfer_ms: visible KV transfer, of requests that moved.
    """

    ttft_ms: Distribution
    tbt_ms: Distribution
    tpot_ms: Distribution
    second_token_ms: Distribution
    e2e_ms: Distribution
    queue_ms: Distribution
    decode_wait_ms: Distribution
    transfer_ms: Distribution


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that share something: a priority or a model.

    Attributes:
        name: what they share.
        requests, completed: how many.
        ttft_ms, tbt_ms, e2e_ms: of the completed.
    """

    name: str
    requests: int
    completed: int
    ttft_ms: Distribution
    tbt_ms: Distribution
    e2e_ms: Distribution


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run.

    Attributes:
        name, seed: of the run.
        duration_s: simulated time.
        requests: of the trace; `completed`, `refused`, `squashed` and `unfinished` of them.
        preemptions, restarts: over all requests.
        offered_rps: requests / time of the last arrival.
        throughput_rps: completed requests / duration.
        goodput_rps: completed requests that met the objectives of their class / duration; NaN without
            classes.
        prompt_tokens_per_s, output_tokens_per_s: of completed requests / duration.
        latency: of completed requests.
        priorities, models: latencies by each, where there is more than one.
        attainment: objectives by class; None without classes.
        slowdowns: against the reference machine; None without one.
        energy: GPU energy and power.
        carbon_g, cost_usd: by the models that the caller gave; NaN without.
        events, simulator_cpu_s, simulated_requests_per_cpu_s: what the simulation itself took.
        warnings: what a reader must know.
    """

    name: str
    seed: int
    duration_s: float
    requests: int
    completed: int
    refused: int
    squashed: int
    unfinished: int
    preemptions: int
    restarts: int
    offered_rps: float
    throughput_rps: float
    goodput_rps: float
    prompt_tokens_per_s: float
    output_tokens_per_s: float
    latency: Latency
    priorities: tuple[Group, ...]
    models: tuple[Group, ...]
    attainment: Attainment | None
    slowdowns: Slowdowns | None
    energy: Energy
    carbon_g: float
    cost_usd: float
    events: int
    simulator_cpu_s: float
    simulated_requests_per_cpu_s: float
    warnings: tuple[str, ...]

    def figures(self) -> dict[str, float]:
        """Every figure by one flat name, in order: "ttft_ms_p99", "class.SS.requests", "pool.all.gpu_h"."""
        return dict(_figures("", self))

    def to_json(self) -> str:
        """Nested JSON; null for what has no value: nothing to count, or infinite."""
        return json.dumps(_plain(self), indent=2, allow_nan=False)


def summarise(
    run: RunResult,
    *,
    classes: Sequence[RequestClass] = (),
    reference: Reference | None = None,
    slos: Mapping[str, SlowdownSlo] = SPLITWISE_SLOS,
    carbon_g: Price | None = None,
    cost_usd: Price | None = None,
) -> Summary:
    """Figures of a run.

    Args:
        run: what it left.
        classes: request classes with their objectives, smallest first; none: no attainment and
            goodput.
        reference: uncontended machine; None: no slowdowns.
        slos: limits on slowdowns.
        carbon_g: emissions of the whole run in grams of CO2, by a model of the caller's choice.
        cost_usd: cost of the whole run, by a model of the caller's choice.

    Raises:
        ValueError: a completed request has its timestamps out of order.
    """
    requests = run.requests
    timings = completed(requests)
    met = attainment(requests, classes) if classes else None
    duration_s = run.end_ns / NS_PER_S
    count = len(requests.status)
    arrived_s = float(requests.arrival_ns.max()) / NS_PER_S if count else 0.0
    return Summary(
        name=run.name,
        seed=run.seed,
        duration_s=duration_s,
        requests=count,
        completed=len(timings),
        refused=_ended(run, Status.REFUSED),
        squashed=_ended(run, Status.SQUASHED),
        unfinished=_ended(run, Status.UNFINISHED),
        preemptions=int(requests.preemptions.sum()),
        restarts=int(requests.restarts.sum()),
        offered_rps=ratio(count, arrived_s),
        throughput_rps=ratio(len(timings), duration_s),
        goodput_rps=ratio(met.slo_met, duration_s) if met else math.nan,
        prompt_tokens_per_s=ratio(int(requests.prompt_tokens[timings.rows].sum()), duration_s),
        output_tokens_per_s=ratio(int(requests.output_tokens[timings.rows].sum()), duration_s),
        latency=latency_of(timings),
        priorities=_groups(timings, requests.priority, [one.name.lower() for one in Priority]),
        models=_groups(timings, requests.model, run.models),
        attainment=met,
        slowdowns=slowdowns(requests, reference, slos) if reference else None,
        energy=energy_of(run),
        carbon_g=carbon_g(run) if carbon_g else math.nan,
        cost_usd=cost_usd(run) if cost_usd else math.nan,
        events=run.events,
        simulator_cpu_s=run.cpu_s,
        simulated_requests_per_cpu_s=ratio(count, run.cpu_s),
        warnings=run.warnings,
    )


def latency_of(timings: Timings) -> Latency:
    """Distributions of every latency of some completed requests."""
    return Latency(
        ttft_ms=distribution_of(timings.ttft_ns, per=NS_PER_MS),
        tbt_ms=distribution_of(timings.tbt_ns, per=NS_PER_MS),
        tpot_ms=distribution_of(timings.tpot_ns, per=NS_PER_MS),
        second_token_ms=distribution_of(timings.second_token_ns, per=NS_PER_MS),
        e2e_ms=distribution_of(timings.e2e_ns, per=NS_PER_MS),
        queue_ms=distribution_of(timings.queue_ns, per=NS_PER_MS),
        decode_wait_ms=distribution_of(timings.decode_wait_ns, per=NS_PER_MS),
        transfer_ms=distribution_of(timings.transfer_ns, per=NS_PER_MS),
    )


def _ended(run: RunResult, status: Status) -> int:
    return int((run.requests.status == status).sum())


def _groups(
    timings: Timings, key: npt.NDArray[np.int64], names: Sequence[str]
) -> tuple[Group, ...]:
    values = [int(value) for value in np.unique(key)]
    if len(values) < 2:
        return ()
    groups = []
    for value in values:
        mine = key == value
        done = timings.among(mine)
        groups.append(
            Group(
                name=names[value] if 0 <= value < len(names) else str(value),
                requests=int(mine.sum()),
                completed=len(done),
                ttft_ms=distribution_of(done.ttft_ns, per=NS_PER_MS),
                tbt_ms=distribution_of(done.tbt_ns, per=NS_PER_MS),
                e2e_ms=distribution_of(done.e2e_ns, per=NS_PER_MS),
            )
        )
    return tuple(groups)


# What stands in front of the figures of a table's rows.
_ROWS = {"priorities": "priority", "models": "model", "classes": "class", "pools": "pool"}
_NOT_FIGURES = ("seed",)


def _figures(prefix: str, part: object) -> Iterator[tuple[str, float]]:
    assert dataclasses.is_dataclass(part)
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Distribution):
            for statistic in ("mean", "p50", "p90", "p99"):
                yield f"{prefix}{field.name}_{statistic}", getattr(value, statistic)
        elif field.name in _ROWS:
            for row in value:
                yield from _figures(f"{prefix}{_ROWS[field.name]}.{row.name}.", row)
        elif dataclasses.is_dataclass(value):
            yield from _figures(prefix, value)
        elif type(value) in (int, float) and field.name not in _NOT_FIGURES:
            yield f"{prefix}{field.name}", float(value)


def _plain(value: object) -> object:
    """Dataclasses as dicts, verdicts included, and numbers that JSON cannot hold as null."""
    if dataclasses.is_dataclass(value):
        plain = {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
        if isinstance(value, Slowdowns | Attainment):
            plain["held"] = value.held
        return plain
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
