"""What machines take of a budget: Splitwise's own constants of cost and power, or a plain count of machines."""

from collections.abc import Mapping
from typing import Literal

from inference.errors import ScenarioError
from inference.models.cost import SPLITWISE_MACHINES
from inference.scenarios.spec import GroupSpec, Scenario
from inference.sweep.designs import Price

By = Literal["power", "cost", "machines"]
GPUS_PER_MACHINE = 8
SOURCE = "argument --budget"


def machine_price(gpu: str, tp: int, by: By) -> float:
    """What one replica takes: its share of a machine of eight GPUs.

    Raises:
        ScenarioError: Splitwise's plots do not count that GPU.
    """
    share = tp / GPUS_PER_MACHINE
    if by == "machines":
        return share
    figures = SPLITWISE_MACHINES.get(gpu)
    if figures is None:
        known = ", ".join(sorted(SPLITWISE_MACHINES))
        raise ScenarioError(SOURCE, "gpu", f"expected one of {known} for {by}, found {gpu}")
    # Cost is quoted per GPU, power per machine.
    return (figures.cost * GPUS_PER_MACHINE if by == "cost" else figures.power) * share


def cluster_price(scenario: Scenario, by: By) -> float:
    """What the scenario's whole cluster takes."""
    groups = scenario.replicas.values()
    return sum(group.count * machine_price(group.gpu, group.tp, by) for group in groups)


def budget_of(text: str, scenario: Scenario, by: By) -> float:
    """A budget as typed: a number, COUNTxGPU such as 40xh100-80gb, or nothing for the scenario's own cluster.

    Raises:
        ScenarioError: it is none of these.
    """
    if not text:
        return cluster_price(scenario, by)
    count, times, gpu = text.partition("x")
    try:
        number = float(count)
    except ValueError:
        number = float("nan")
    if not 0 < number < 1e12:
        expected = f"expected a number above 0 or COUNTxGPU as in 40xh100-80gb, found {text!r}"
        raise ScenarioError(SOURCE, "budget", expected)
    return number * machine_price(gpu, GPUS_PER_MACHINE, by) if times else number


def split_groups(scenario: Scenario) -> tuple[str, str]:
    """Names of the scenario's one prefill and one decode group, whose counts a search varies.

    Raises:
        ScenarioError: it has not exactly one of each, and nothing else.
    """
    named = {role: _named(scenario.replicas, role) for role in ("prefill", "decode", "mixed")}
    if len(named["prefill"]) != 1 or len(named["decode"]) != 1 or named["mixed"]:
        found = ", ".join(f"{name} ({one.role})" for name, one in scenario.replicas.items())
        expected = f"expected one prefill and one decode group to vary, found {found}"
        raise ScenarioError(scenario.name, "replicas", expected)
    return named["prefill"][0], named["decode"][0]


def split_price(scenario: Scenario, by: By) -> Price:
    """What one machine of each of the two groups takes."""
    prefill, decode = (scenario.replicas[name] for name in split_groups(scenario))
    return Price(
        machine_price(prefill.gpu, prefill.tp, by), machine_price(decode.gpu, decode.tp, by)
    )


def _named(groups: Mapping[str, GroupSpec], role: str) -> list[str]:
    return [name for name, group in groups.items() if group.role == role]
