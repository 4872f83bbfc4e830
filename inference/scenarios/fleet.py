"""The replicas that a scenario asks for, and whether its largest request fits any of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from inference.domain.replica import Gpu, Model, ReplicaSpec, Role
from inference.domain.request import Priority
from inference.errors import ScenarioError
from inference.models.catalog import GPUS, MODELS
from inference.models.power import power_model
from inference.scenarios.schema import closest
from inference.scenarios.spec import GroupSpec, Scenario
from inference.traces.trace import Trace

Kind = TypeVar("Kind")

GIB = 1 << 30
ROLES = {"prefill": Role.PREFILL, "decode": Role.DECODE, "mixed": Role.MIXED}


@dataclass(frozen=True, slots=True)
class Fleet:
    """Replicas at the start of a run.

    Attributes:
        specs: by replica index.
        pools: names by pool index.
        models: by model index.
        priorities: of the work of each replica, by its index.
    """

    specs: tuple[ReplicaSpec, ...]
    pools: tuple[str, ...]
    models: tuple[Model, ...]
    priorities: tuple[Priority, ...]


def fleet_of(scenario: Scenario, source: str) -> Fleet:
    """Replicas in the order of the scenario's groups.

    Raises:
        ScenarioError: the catalog does not know a GPU or a model, a clock is beyond its GPU, or weights do not fit.
    """
    models = tuple(
        _known(MODELS, name, source, f"models.{index}")
        for index, name in enumerate(scenario.models)
    )
    pools = tuple(dict.fromkeys(group.pool or name for name, group in scenario.replicas.items()))
    specs: list[ReplicaSpec] = []
    priorities: list[Priority] = []
    for name, group in scenario.replicas.items():
        spec = _spec(scenario, group, pools.index(group.pool or name), models, source, name)
        specs.extend([spec] * group.count)
        priorities.extend([Priority[group.priority.upper()]] * group.count)
    return Fleet(tuple(specs), pools, models, tuple(priorities))


def check_room(scenario: Scenario, fleet: Fleet, trace: Trace, source: str) -> None:
    """Refuse a cluster that can never serve the largest request of its trace.

    A prefill needs room for the prompt and its first token, a decode for the whole output too; each beside the weights.

    Raises:
        ScenarioError: with the arithmetic.
    """
    for index, model in enumerate(fleet.models):
        rows = np.flatnonzero(trace.model == index)
        if not len(rows):
            continue
        prompts = trace.prompt_tokens[rows]
        longest = int(np.argmax(prompts + trace.output_tokens[rows]))
        prompt, output = int(prompts[longest]), int(trace.output_tokens[rows][longest])
        whole = f"{prompt:,} prompt + {output:,} output tokens"
        mine = [spec for spec in fleet.specs if spec.model_id == index]
        prefills = [spec for spec in mine if spec.role != Role.DECODE]
        decodes = [spec for spec in mine if spec.role != Role.PREFILL]
        _check_one(model, decodes, prompt + output, whole, "decode", source)
        longest_prompt = int(prompts.max())
        one = f"{longest_prompt:,} prompt tokens + 1"
        _check_one(model, prefills, longest_prompt + 1, one, "prefill", source)


def _check_one(
    model: Model, specs: list[ReplicaSpec], tokens: int, what: str, phase: str, source: str
) -> None:
    # The loader saw to it that there is at least one.
    largest = max(specs, key=lambda spec: spec.gpu.memory_bytes * spec.tp)
    memory = largest.gpu.memory_bytes * largest.tp
    room = memory - model.weights_bytes
    need = tokens * model.kv_bytes_per_token
    if need > room:
        expected = (
            f"expected room for the trace's largest request on a {phase} replica: {what} x"
            f" {model.kv_bytes_per_token:,} bytes = {_gb(need)}, but {largest.tp} x {largest.gpu.name}"
            f" have {_gb(memory)} - {_gb(model.weights_bytes)} of weights = {_gb(room)}"
        )
        raise ScenarioError(source, "replicas", expected)


def _spec(
    scenario: Scenario,
    group: GroupSpec,
    pool: int,
    models: tuple[Model, ...],
    source: str,
    name: str,
) -> ReplicaSpec:
    key = f"replicas.{name}"
    gpu = _known(GPUS, group.gpu, source, f"{key}.gpu")
    model_id = scenario.models.index(group.model) if group.model else 0
    model = models[model_id]
    memory = gpu.memory_bytes * group.tp
    if model.weights_bytes >= memory:
        expected = (
            f"expected GPUs that hold the weights of {model.name}: {_gb(model.weights_bytes)},"
            f" but {group.tp} x {gpu.name} have {_gb(memory)}"
        )
        raise ScenarioError(source, f"{key}.tp", expected)
    if group.clock_mhz and not gpu.clock_mhz_min <= group.clock_mhz <= gpu.clock_mhz_max:
        expected = (
            f"expected 0 or a clock of {gpu.name}, from {gpu.clock_mhz_min} to {gpu.clock_mhz_max},"
            f" found {group.clock_mhz}"
        )
        raise ScenarioError(source, f"{key}.clock_mhz", expected)
    if scenario.transfer.gib_per_s:
        link = scenario.transfer.gib_per_s * GIB / group.tp
        gpu = replace(gpu, link_bytes_per_s=link)
    clock_mhz = group.clock_mhz
    if group.power_cap_w:
        clock_mhz = _under_cap(scenario, group, model, gpu, source, key)
    return ReplicaSpec(
        gpu=gpu,
        model=model,
        tp=group.tp,
        role=ROLES[group.role],
        pool=pool,
        model_id=model_id,
        clock_mhz=clock_mhz,
        power_cap_w=group.power_cap_w,
    )


def _under_cap(
    scenario: Scenario, group: GroupSpec, model: Model, gpu: Gpu, source: str, key: str
) -> int:
    """The clock that keeps a group's GPUs under their power cap, whatever their batches."""
    power = power_model(model, gpu, group.tp)
    cap_w = group.power_cap_w * group.tp
    if group.role == "decode":
        clock_mhz = power.capped_decode(cap_w, scenario.batching.requests_max)
    else:
        clock_mhz = power.capped(cap_w, scenario.batching.tokens_max)
    if clock_mhz < gpu.clock_mhz_min:
        expected = (
            f"expected a cap that {gpu.name} can keep: {group.power_cap_w:g} W per GPU would need"
            f" {clock_mhz} MHz, its lowest is {gpu.clock_mhz_min}"
        )
        raise ScenarioError(source, f"{key}.power_cap_w", expected)
    return min(clock_mhz, group.clock_mhz or gpu.clock_mhz_max)


def _known(catalog: Mapping[str, Kind], name: str, source: str, key: str) -> Kind:
    found = catalog.get(name)
    if found is None:
        raise ScenarioError(source, key, f"unknown name {name!r}; {closest(name, catalog)}")
    return found


def _gb(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
