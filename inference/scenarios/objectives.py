"""The objectives of a scenario: what its results are held against."""

import math
from collections.abc import Callable

import numpy as np

from inference.domain.replica import Model
from inference.domain.slo import RequestClass
from inference.models.carbon import duck_curve
from inference.models.catalog import gpu_by_name, model_by_name
from inference.models.cost import bill
from inference.models.energy import power_series
from inference.models.latency import Mode, latency_model
from inference.policies.dynamo.classes import TABLE_IV, TERCILES
from inference.results.run import Float64, Int64, RunResult
from inference.results.slowdown import Reference, Uncontended
from inference.results.summary import Summary, summarise
from inference.scenarios.spec import ClassesSlo, Scenario, SplitwiseSlo


def reference_of(model: Model, slo: SplitwiseSlo, mode: Mode) -> Reference:
    """The uncontended machine that slowdowns are against, by the latency model that the scenario uses.

    The published table gives f_t by the prompt's tokens, as its authors' notebook asks it; the context-aware model gives
    a decode iteration of one request behind its prompt.

    Raises:
        ProfileError: that machine has no profile.
        ScenarioError: the catalog does not know its GPU.
    """
    latency = latency_model(model, gpu_by_name(slo.gpu), slo.tp, mode)

    def prefill(tokens: int) -> int:
        return latency.prefill_ns(tokens, 0)

    def decode(tokens: int) -> int:
        return (
            latency.decode_ns(tokens, 0, 1) if mode == "table" else latency.decode_ns(1, tokens, 1)
        )

    name = f"{model.name} {slo.gpu} tp{slo.tp}"
    return Reference(name, _over_prompts(prefill), _over_prompts(decode))


def summary_of(scenario: Scenario, run: RunResult) -> Summary:
    """A run's figures with the scenario's objectives.

    Raises:
        ProfileError: the machine of the slowdowns has no profile.
        ScenarioError: the catalog does not know a name.
    """
    slo = scenario.slo
    reference = None
    if isinstance(slo, SplitwiseSlo):
        reference = reference_of(model_by_name(scenario.models[0]), slo, scenario.latency)
    return summarise(
        run,
        classes=classes_of(scenario),
        reference=reference,
        cost_usd=rent_usd,
        carbon_g=duck_carbon_g if scenario.report.carbon == "duck" else None,
    )


def rent_usd(run: RunResult) -> float:
    """Rent of the GPUs for the time that replicas held them, at the catalogue's quoted prices."""
    replicas = run.replicas
    held_ns = (replicas.stopped_ns - replicas.started_ns) * replicas.tp
    return sum(
        bill(gpu_by_name(gpu), int(gpu_ns), 0.0).rent_usd
        for gpu, gpu_ns in zip(replicas.gpu, held_ns, strict=True)
    )


def duck_carbon_g(run: RunResult) -> float:
    """CO2 of the GPUs' energy in grams, the run beginning at midnight of a synthetic day (modelled)."""
    if run.series is None or not len(run.series.power_w):
        return math.nan
    power = power_series(run.series.period_ns, run.series.power_w)
    return 1000.0 * duck_curve().mass_kg(power)


def classes_of(scenario: Scenario) -> tuple[RequestClass, ...]:
    """The request classes of the objectives; none where the scenario has none."""
    if not isinstance(scenario.slo, ClassesSlo):
        return ()
    return (TABLE_IV if scenario.slo.edges == "table_iv" else TERCILES).classes


def held(summary: Summary) -> bool | None:
    """Whether the scenario's objectives held; None where it has none."""
    judged = [one for one in (summary.slowdowns, summary.attainment) if one is not None]
    return all(one.held for one in judged) if judged else None


def broken(summary: Summary) -> tuple[str, ...]:
    """Names of the objectives that did not hold: "tbt_p50", "class SS"."""
    slow = summary.slowdowns.broken if summary.slowdowns else ()
    met = summary.attainment
    classes = tuple(f"class {one.name}" for one in met.classes if not one.held) if met else ()
    return slow + classes


def _over_prompts(time_ns: Callable[[int], int]) -> Uncontended:
    """A time by prompt tokens over a whole column: each length is asked for once."""

    def over(prompts: Int64) -> Float64:
        lengths, rows = np.unique(prompts, return_inverse=True)
        times = np.array([time_ns(int(tokens)) for tokens in lengths], dtype=np.float64)
        return times[rows]

    return over
