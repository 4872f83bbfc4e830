"""A summary as titled tables of text, the same for the terminal and the report."""

from collections.abc import Iterator
from dataclasses import dataclass

from inference.results.attainment import Attainment
from inference.results.comparison import Comparison
from inference.results.distribution import Distribution
from inference.results.energy import Energy
from inference.results.slowdown import Slowdowns
from inference.results.summary import Group, Latency, Summary
from inference.results.wording import numeral, percent, printable

STATISTICS = ("mean", "p50", "p90", "p99")


@dataclass(frozen=True, slots=True)
class Section:
    """A table of text; the first column is left-aligned, the others to the right.

    Attributes:
        title: above it.
        header: of its columns.
        rows: as wide as the header.
        note: below it; may be empty.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def sections_of(summary: Summary) -> tuple[Section, ...]:
    """All tables of a summary that have something to say."""
    return tuple(_sections(summary))


def comparison_section(comparison: Comparison) -> Section:
    """Runs side by side; beside each value its ratio to the first run's."""
    names = [printable(name) for name in comparison.names]
    header = ("figure", names[0], *(cell for name in names[1:] for cell in (name, "ratio")))
    rows = tuple(
        (
            row.figure,
            numeral(row.values[0]),
            *(
                cell
                for value, ratio in zip(row.values[1:], row.ratios[1:], strict=True)
                for cell in (numeral(value), numeral(ratio))
            ),
        )
        for row in comparison.rows
    )
    return Section("Comparison", header, rows, "ratio: to the first run")


def _sections(summary: Summary) -> Iterator[Section]:
    yield _requests(summary)
    yield _latency(summary.latency)
    if summary.slowdowns:
        yield _slowdowns(summary.slowdowns)
    if summary.attainment:
        yield _classes(summary.attainment)
    for title, groups in (("By priority", summary.priorities), ("By model", summary.models)):
        if groups:
            yield _groups(title, groups)
    yield _energy(summary)
    if len(summary.energy.pools) > 1:
        yield _pools(summary.energy)


def _requests(summary: Summary) -> Section:
    rows = [
        ("simulated time, s", numeral(summary.duration_s)),
        ("requests", numeral(summary.requests)),
        ("completed", numeral(summary.completed)),
        ("refused", numeral(summary.refused)),
        ("squashed", numeral(summary.squashed)),
        ("unfinished", numeral(summary.unfinished)),
        ("offered, requests/s", numeral(summary.offered_rps)),
        ("throughput, requests/s", numeral(summary.throughput_rps)),
    ]
    if summary.attainment:
        rows += [
            ("goodput, requests/s", numeral(summary.goodput_rps)),
            ("SLO attainment", percent(summary.attainment.slo_attainment)),
        ]
    rows += [
        ("prompt tokens/s", numeral(summary.prompt_tokens_per_s)),
        ("output tokens/s", numeral(summary.output_tokens_per_s)),
        ("preemptions", numeral(summary.preemptions)),
        ("restarts", numeral(summary.restarts)),
        ("simulated requests per CPU-second", numeral(summary.simulated_requests_per_cpu_s)),
    ]
    return Section("Requests", ("figure", "value"), tuple(rows))


def _latency(latency: Latency) -> Section:
    rows = tuple(
        (name, *_statistics(distribution), numeral(distribution.count))
        for name, distribution in (
            ("TTFT", latency.ttft_ms),
            ("TBT (E2E - TTFT) / tokens", latency.tbt_ms),
            ("TPOT", latency.tpot_ms),
            ("second token", latency.second_token_ms),
            ("E2E", latency.e2e_ms),
            ("queue", latency.queue_ms),
            ("wait for decode", latency.decode_wait_ms),
            ("KV transfer, visible", latency.transfer_ms),
        )
        if distribution.count
    )
    note = "of completed requests"
    return Section("Latency, ms", ("metric", *STATISTICS, "requests"), rows, note)


def _slowdowns(slowdowns: Slowdowns) -> Section:
    rows = []
    for metric in ("ttft", "tbt", "e2e"):
        told: Distribution = getattr(slowdowns, f"{metric}_slowdown")
        cells = [numeral(told.mean)]
        for statistic in STATISTICS[1:]:
            broken = f"{metric}_{statistic}" in slowdowns.broken
            cells.append(numeral(getattr(told, statistic)) + (" (over)" if broken else ""))
        rows.append((metric.upper(), *cells))
    verdict = "all objectives hold" if slowdowns.held else f"broken: {', '.join(slowdowns.broken)}"
    note = f"against an uncontended {printable(slowdowns.reference)}; {verdict}"
    return Section("Slowdown", ("metric", *STATISTICS), tuple(rows), note)


def _classes(attainment: Attainment) -> Section:
    rows = tuple(
        (
            printable(one.name),
            numeral(one.requests),
            percent(one.share),
            numeral(one.ttft_slo_ms),
            numeral(one.ttft_ms.p50),
            numeral(one.ttft_ms.p99),
            numeral(one.tbt_slo_ms),
            numeral(one.tpot_ms.p50),
            numeral(one.tpot_ms.p99),
            percent(one.slo_attainment),
            "yes" if one.held else "no",
        )
        for one in attainment.classes
    )
    header = (
        "class",
        "requests",
        "share",
        "TTFT SLO",
        "p50",
        "p99",
        "TBT SLO",
        "TPOT p50",
        "p99",
        "attainment",
        "P99 holds",
    )
    note = "ms; classes by true lengths; requests that did not complete count as never"
    return Section("By request class", header, rows, note)


def _groups(title: str, groups: tuple[Group, ...]) -> Section:
    metrics = ("ttft_ms", "tbt_ms", "e2e_ms")
    shown = ("p50", "p99")
    rows = tuple(
        (
            printable(group.name),
            numeral(group.requests),
            numeral(group.completed),
            *(
                numeral(getattr(getattr(group, metric), statistic))
                for metric in metrics
                for statistic in shown
            ),
        )
        for group in groups
    )
    header = (
        "group",
        "requests",
        "completed",
        *(f"{metric.removesuffix('_ms').upper()} {one}" for metric in metrics for one in shown),
    )
    return Section(title, header, rows, "ms")


def _energy(summary: Summary) -> Section:
    energy = summary.energy
    rows = [
        ("GPU energy, Wh", numeral(energy.gpu_energy_wh)),
        ("J per output token", numeral(energy.gpu_energy_j_per_output_token)),
        ("J per token", numeral(energy.gpu_energy_j_per_token)),
        ("Wh per request", numeral(energy.gpu_energy_wh_per_request)),
        ("idle share of energy", percent(energy.idle_energy_share)),
        ("idle share of GPU time", percent(energy.idle_time_share)),
        ("GPU hours", numeral(energy.gpu_h)),
        ("GPUs, mean", numeral(energy.gpus_mean)),
        ("power mean, W", numeral(energy.power_w_mean)),
        ("power p50, W", numeral(energy.power_w_p50)),
        ("power p99, W", numeral(energy.power_w_p99)),
        ("power highest, W", numeral(energy.power_w_max)),
        ("carbon, g CO2", numeral(summary.carbon_g)),
        ("cost, USD", numeral(summary.cost_usd)),
    ]
    known = tuple(row for row in rows if row[1] != numeral(float("nan")))
    return Section("Energy of GPUs", ("figure", "value"), known)


def _pools(energy: Energy) -> Section:
    rows = tuple(
        (
            printable(pool.name),
            numeral(pool.replicas),
            numeral(pool.gpu_h),
            numeral(pool.gpu_energy_wh),
            percent(pool.prefill_time_share),
            percent(pool.decode_time_share),
            percent(pool.mixed_time_share),
            percent(pool.idle_time_share),
            numeral(pool.prompt_tokens),
            numeral(pool.output_tokens),
        )
        for pool in energy.pools
    )
    header = (
        "pool",
        "replicas",
        "GPU hours",
        "Wh",
        "prefill",
        "decode",
        "mixed",
        "idle",
        "prompt tokens",
        "output tokens",
    )
    return Section("By pool", header, rows, "prefill to idle: shares of GPU time")


def _statistics(distribution: Distribution) -> tuple[str, ...]:
    return tuple(numeral(getattr(distribution, statistic)) for statistic in STATISTICS)
