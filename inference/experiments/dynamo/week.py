"""DY4, DY5, DY7, DY8, DY11 and DY12: a day and a week by the fluid driver, on the digitised shape of the 2024 week.

Read first: `inference.fluid.driver`. No request is simulated, so nothing here tells a latency: load beyond what the profile
keeps objectives at is reported as unmet. The paper's week comes from a discrete-time simulation too. The trace of the week
is not public; its rate was read off a published plot, lengths are those of the 2023 traces. The forecast learns as the
week goes; it begins knowing nothing.
"""

import time
from functools import cache

from inference.experiments.dynamo.site import (
    HEADROOM,
    MARGIN,
    SINGLE,
    Service,
    rate_for,
    service_of,
)
from inference.experiments.outcome import Runs, Target
from inference.fluid.demand import Demand, demand_of
from inference.fluid.driver import FluidResult, Site, run_fluid
from inference.models.carbon import duck_curve
from inference.models.energy import power_series
from inference.policies.dynamo.baselines import CLOCK_AWARE, COMPOSITIONS, Composition
from inference.policies.dynamo.classes import TERCILES, Taxonomy, quantile_taxonomy
from inference.policies.dynamo.cluster import SERVER_GPUS
from inference.policies.dynamo.forecast import Calendar
from inference.policies.dynamo.spill import Equivalence
from inference.traces.azure import azure_2023
from inference.traces.rates import RateSeries, week_rates

SERVERS = 40
DAY_SERVERS = 12
STEP_S = 300.0
FRIDAY = 4
_DAY_S = 86_400.0
_HOURS = 3600.0

# $1362.7 an hour for the 15.4 servers saved are $88.49 a server: Azure's list price of eight H100, which the paper used.
SERVER_USD_PER_H = 1362.7 / (40.0 - 24.6)


def _rates(name: str, servers: int, day: int | None) -> RateSeries:
    """The week, or one day of it, scaled so that SinglePool has so many servers at its peak."""
    rates = week_rates(name)
    if day is not None:
        rates = rates.window(day * _DAY_S, (day + 1) * _DAY_S)
    return rates.scaled(rate_for(name, servers) / float(rates.per_s.max()))


def _demand(service: Service, rates: RateSeries, composition: Composition) -> Demand:
    equivalence = Equivalence(service.profile, service.taxonomy)
    predictor = service.predictor() if composition.by_class else None
    return demand_of(rates, service.shares, equivalence, predictor, STEP_S)


@cache
def run_week(
    name: str, service_name: str, servers: int = SERVERS, day: int | None = None
) -> tuple[FluidResult, float]:
    """One composition over the week or a day of it, and its processor time."""
    composition = CLOCK_AWARE if name == CLOCK_AWARE.name else COMPOSITIONS[name]
    grid = None if composition.by_class else SINGLE
    return _run(composition, service_of(service_name, grid), service_name, servers, day)


def _run(
    composition: Composition, service: Service, name: str, servers: int, day: int | None
) -> tuple[FluidResult, float]:
    began_s = time.process_time()
    calendar = Calendar((FRIDAY + (day or 0)) % 7)
    site = Site(service.taxonomy, service.profile, None, MARGIN, calendar, HEADROOM)
    demand = _demand(service, _rates(name, servers, day), composition)
    static = None if composition.by_class else (servers,)
    result = run_fluid(composition, site, demand, static)
    return result, time.process_time() - began_s


def _saved(ours: FluidResult, base: FluidResult) -> float:
    return 100.0 * (ours.energy_j / base.energy_j - 1.0)


def _unmet(name: str, shared: Runs, ours: FluidResult, base: FluidResult) -> Target:
    """Load that is not carried costs no energy: a saving only counts if there is next to none."""
    return shared.target(
        f"{name}-unmet",
        "load that DynamoLLM could not carry within its objectives",
        "none",
        100 * ours.unmet_share,
        "%",
        0.0,
        1.0,
        f"SinglePool: {100 * base.unmet_share:.2f} %",
    )


def day_energy() -> tuple[Target, ...]:
    """DY4: a weekday of conversation on 12 servers."""
    tuesday = 4
    (ours, first_s), (base, second_s), (large, third_s), (large_base, fourth_s) = (
        run_week(name, "conv", servers, tuesday)
        for servers in (DAY_SERVERS, 4 * DAY_SERVERS)
        for name in ("DynamoLLM", "SinglePool")
    )
    spent_s = first_s + second_s + third_s + fourth_s
    shared = Runs("fluid: conv, 2024 week (digitised), Tuesday", spent_s)
    return (
        shared.target(
            "DY4",
            "energy of a day of conversation on 12 servers, DynamoLLM against SinglePool",
            "-42 %",
            _saved(ours, base),
            "%",
            -47.0,
            -37.0,
            f"{ours.servers.mean():.1f} servers; {100 * ours.unmet_share:.2f} % of load unmet; fragmentation: nine pools"
            f" share few servers, with {4 * DAY_SERVERS} it saves {_saved(large, large_base):+.1f} %",
        ),
        _unmet("DY4", shared, ours, base),
    )


def week_energy() -> tuple[Target, ...]:
    """DY5: a week of both services on 40 servers."""
    made = []
    for service, paper in (("conv", -47.0), ("code", -56.0)):
        runs = {name: run_week(name, service) for name in (*COMPOSITIONS, CLOCK_AWARE.name)}
        base = runs["SinglePool"][0]
        others = ", ".join(
            f"{name} {_saved(run, base):+.0f} %"
            for name, (run, _) in runs.items()
            if name not in ("SinglePool", "DynamoLLM")
        )
        ours, _ = runs["DynamoLLM"]
        shared = Runs(
            f"fluid: {service}, 2024 week (digitised)", sum(cpu_s for _, cpu_s in runs.values())
        )
        made.append(
            shared.target(
                f"DY5-{service}",
                f"energy of a week of {service} on 40 servers, DynamoLLM against SinglePool",
                f"{paper:g} %",
                _saved(ours, base),
                "%",
                paper - 5.0,
                paper + 5.0,
                f"{ours.servers.mean():.1f} servers; {100 * ours.unmet_share:.2f} % of load unmet; {others}",
            )
        )
        made.append(_unmet(f"DY5-{service}", shared, ours, base))
    return tuple(made)


def carbon() -> tuple[Target, ...]:
    """DY7: carbon of the conversation week. The paper used California's trace; ours is a synthetic duck curve."""
    (ours, first_s), (base, second_s) = (
        run_week(name, "conv") for name in ("DynamoLLM", "SinglePool")
    )
    # The week's times are UTC; California is seven hours behind in May.
    curve = duck_curve(17)
    tonnes = [
        curve.mass_kg(power_series(round(STEP_S * 1e9), run.power_w)) / 1e3 for run in (ours, base)
    ]
    shared = Runs("fluid: conv, 2024 week (digitised)", first_s + second_s)
    return (
        shared.target(
            "DY7-saved",
            "carbon of a week of conversation, DynamoLLM against SinglePool",
            "-38 %",
            100.0 * (tonnes[0] / tonnes[1] - 1.0),
            "%",
            -48.0,
            -28.0,
            f"{tonnes[1]:.1f} to {tonnes[0]:.1f} t CO2 (paper 5.0 to 3.1) by a synthetic duck curve, GPUs only;"
            f" energy {_saved(ours, base):+.0f} % (paper -47 %)",
        ),
    )


def cost() -> tuple[Target, ...]:
    """DY8: servers and what they cost."""
    (ours, first_s), (base, second_s) = (
        run_week(name, "conv") for name in ("DynamoLLM", "SinglePool")
    )
    shared = Runs("fluid: conv, 2024 week (digitised)", first_s + second_s)
    saved = SERVERS - float(ours.servers.mean())
    hours = len(ours.power_w) * STEP_S / _HOURS
    energy_kwh = (base.energy_j - ours.energy_j) / 3.6e6 / hours
    return (
        shared.target(
            "DY8-servers",
            "mean servers in use over the conversation week, of 40",
            "24.6",
            float(ours.servers.mean()),
            "servers",
            22.1,
            27.1,
        ),
        shared.target(
            "DY8-rent",
            "rent saved per hour at the paper's price of a server",
            "1362.7 $/h",
            saved * SERVER_USD_PER_H,
            "$/h",
            1226.0,
            1499.0,
            f"{SERVER_USD_PER_H:.2f} $ per server and hour, by the paper's own figures; {energy_kwh:.0f} kWh"
            f" less per hour, {energy_kwh * 0.10:.1f} $ at 0.10 $/kWh (paper 4.4 $)",
        ),
    )


def services() -> tuple[Target, ...]:
    """DY4, DY5, DY7, DY8 and DY12, which rest on the same runs."""
    return (*day_energy(), *week_energy(), *carbon(), *cost(), *shapes())


def pools() -> tuple[Target, ...]:
    """DY11: how many pools. Grids are of equally filled bins; 9 are the terciles."""
    trace = azure_2023("conv")
    grids: dict[int, Taxonomy] = {
        side * side: quantile_taxonomy(
            trace.prompt_tokens, trace.output_tokens, side, side, TERCILES
        )
        for side in (2, 4)
    }
    grids[9] = TERCILES
    gpus: dict[int, float] = {}
    began_s = time.process_time()
    for count, grid in sorted(grids.items()):
        service = service_of("conv", grid)
        run, _ = _run(COMPOSITIONS["DynamoLLM"], service, "conv", DAY_SERVERS, None)
        gpus[count] = float(run.servers.mean()) * SERVER_GPUS
    shared = Runs("fluid: conv, 2024 week (digitised)", time.process_time() - began_s)
    found = ", ".join(f"{count} pools {mean:.1f} GPUs" for count, mean in sorted(gpus.items()))
    return (
        shared.target(
            "DY11",
            "GPUs of 16 pools against 9 pools, mean of servers in use",
            "91.2 / 85.7 = +6.4 %",
            100.0 * (gpus[16] / gpus[9] - 1.0),
            "%",
            0.1,
            16.4,
            found,
        ),
    )


def shapes() -> tuple[Target, ...]:
    """DY12: shape of the two services' weeks, as digitised."""
    made = []
    for service, peak, valley in (("conv", 1.7, 3.3), ("code", 2.8, 34.6)):
        rates = week_rates(service)
        shared = Runs(f"{service}, 2024 week (digitised)")
        note = "30-minute means; read off a published plot"
        ratios = (
            ("peak", "peak over mean", peak, rates.peak_to_mean(1800.0)),
            ("valley", "peak over valley", valley, rates.peak_to_valley(1800.0)),
        )
        made += [
            shared.target(
                f"DY12-{service}-{key}",
                f"{what} of the {service} week's load",
                f"{number:g}",
                ours,
                "ratio",
                number * 0.85,
                number * 1.15,
                note,
            )
            for key, what, number, ours in ratios
        ]
    return tuple(made)
