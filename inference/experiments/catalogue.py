"""Every experiment that a target of the papers rests on, by the order of the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from inference.experiments.dynamo import hour, week
from inference.experiments.greener import greener_targets
from inference.experiments.outcome import Target
from inference.experiments.polca import (
    headroom_targets,
    oversubscription_targets,
    plus_30_targets,
)
from inference.experiments.power_calibration import calibration_targets
from inference.experiments.splitwise import machines, phases, throughput


@dataclass(frozen=True, slots=True)
class Experiment:
    """A function that measures some targets.

    Attributes:
        paper: whose targets.
        name: of the experiment, unique.
        run: gives its outcomes; can be sent to another process.
    """

    paper: str
    name: str
    run: Callable[[], Sequence[Target]]


SPLITWISE = "Splitwise (ISCA'24)"
DYNAMO = "DynamoLLM (HPCA'25)"
GREENER = "Towards Greener LLMs (2024)"
POLCA = "POLCA (ASPLOS'24)"
CALIBRATION = "Anchors of the power model"


def _splitwise() -> tuple[Experiment, ...]:
    both = {
        "least machines": machines.least_machines,
        "iso-power": throughput.iso_power,
        "iso-cost": throughput.iso_cost,
        "least power": machines.least_power,
        "least cost": machines.least_cost,
        "changed load": throughput.changed_load,
        "batch job": throughput.batch_job,
    }
    single = {
        "transfers": phases.transfers,
        "active tokens": phases.active_tokens,
        "table accuracy": phases.table_accuracy,
        "machines alone": phases.machines_alone,
        "BLOOM": phases.bloom_facts,
    }
    return (
        *(
            Experiment(SPLITWISE, f"splitwise {name}, {mode} mode", partial(run, mode))
            for name, run in both.items()
            for mode in ("table", "context")
        ),
        *(Experiment(SPLITWISE, f"splitwise {name}", run) for name, run in single.items()),
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    *_splitwise(),
    Experiment(DYNAMO, "dynamo hour", hour.compositions),
    Experiment(DYNAMO, "dynamo load levels", hour.load_levels),
    Experiment(DYNAMO, "dynamo predictor", hour.accuracies),
    Experiment(DYNAMO, "dynamo week", week.services),
    Experiment(DYNAMO, "dynamo pools", week.pools),
    Experiment(GREENER, "greener profile", greener_targets),
    Experiment(POLCA, "polca plus 30 percent", plus_30_targets),
    Experiment(POLCA, "polca headroom", headroom_targets),
    Experiment(POLCA, "polca oversubscription", oversubscription_targets),
    Experiment(CALIBRATION, "power model's anchors", calibration_targets),
)


def outcomes(name: str) -> list[Target]:
    """One experiment's targets. A worker process is sent the name: it finds the function by itself."""
    return list(next(one for one in EXPERIMENTS if one.name == name).run())
