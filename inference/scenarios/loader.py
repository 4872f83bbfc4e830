"""A scenario from its file: read, merged, overridden, decoded, checked. Never raises anything but `ScenarioError`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import ScenarioError
from inference.scenarios import includes
from inference.scenarios.includes import Tables
from inference.scenarios.schema import Key, Refused, closest, decode
from inference.scenarios.spec import Scenario, SplitwiseSlo
from inference.scenarios.trace_spec import (
    MixTrace,
    PoissonTrace,
    ServicesTrace,
    TraceSpec,
)

REQUESTS_MAX = 30_000_000
"""Requests of one run: columns of more do not fit into an ordinary machine's memory."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario with where it came from.

    Attributes:
        scenario: checked.
        source: its file.
        values: its tables after includes and overrides: `from_values` gives the same scenario again.
        sources: file (or "argument") that set a key, by dotted key.
    """

    scenario: Scenario
    source: str
    values: Mapping[str, Any]
    sources: Mapping[str, str]


def load(path: Path | str, overrides: Sequence[str] = ()) -> Scenario:
    """The scenario in a file, or the shipped one of that name; see `loaded`."""
    return loaded(path, overrides).scenario


def loaded(path: Path | str, overrides: Sequence[str] = ()) -> Loaded:
    """The scenario in a file, or the shipped one of that name, with its origin.

    Args:
        path: a file, or a name as `shipped` lists it ("quickstart").
        overrides: assignments such as "routing.policy=jsq", each over those before.

    Raises:
        ScenarioError: with file, key and expected value.
    """
    found = locate(path)
    tables = includes.read(found)
    includes.override(tables, overrides)
    scenario = _scenario(tables, str(found))
    sources = {".".join(key): source for key, source in tables.sources.items()}
    return Loaded(scenario, str(found), tables.values, sources)


def from_values(values: Mapping[str, Any], source: str = "argument") -> Scenario:
    """A scenario from tables as `tomllib` gives them.

    Raises:
        ScenarioError: with the source's name, key and expected value.
    """
    tables = Tables()
    tables.merge(values, source)
    return _scenario(tables, source)


def shipped() -> dict[str, Path]:
    """Files of the scenarios that come with the product, by name; base files, which stand for no run, are left out."""
    paths = sorted(includes.SHIPPED.glob("*.toml"))
    return {path.stem: path for path in paths if not path.stem.startswith("base-")}


def locate(path: Path | str) -> Path:
    """The file of that path, or the shipped scenario of that name.

    Raises:
        ScenarioError: neither is there.
    """
    text = str(path)
    if "\0" not in text and text.strip():
        try:
            if Path(text).is_file():
                return Path(text)
        except OSError:
            pass  # a name too long for any file
        if text.removesuffix(".toml") in shipped():
            return shipped()[text.removesuffix(".toml")]
    hint = closest(text.removesuffix(".toml"), shipped())
    raise ScenarioError(
        text, "file", f"expected a scenario file or a name that `jsim scenarios` lists; {hint}"
    )


def _scenario(tables: Tables, source: str) -> Scenario:
    try:
        scenario: Scenario = decode(Scenario, tables.values)
        check(scenario)
    except Refused as refused:
        where = tables.source_of(refused.key, source)
        raise ScenarioError(where, ".".join(refused.key) or "file", refused.expected) from None
    except RecursionError:
        raise ScenarioError(source, "file", "expected tables nested less deeply") from None
    return scenario


def check(scenario: Scenario) -> None:
    """What no single key can say: roles, models, indices and windows that fit each other.

    Raises:
        Refused: with the key at fault.
    """
    _check_models(scenario)
    _check_groups(scenario)
    _check_failures(scenario)
    if isinstance(scenario.slo, SplitwiseSlo) and len(scenario.models) > 1:
        # Slowdowns are against one machine with one model.
        raise Refused(("slo", "kind"), "expected a scenario of one model, or kind classes")
    if scenario.transfer.mode == "compat" and scenario.transfer.gib_per_s:
        raise Refused(("transfer", "gib_per_s"), "expected 0 with mode compat, which has its own")
    _check_size(scenario.trace)
    _check_clocks(scenario)
    if scenario.report.carbon != "none" and not scenario.report.series_s:
        raise Refused(("report", "series_s"), "expected above 0: carbon follows power over time")
    _check_window(scenario.report.iterations_window_s)


def _check_models(scenario: Scenario) -> None:
    for index, model in enumerate(scenario.models):
        if model in scenario.models[:index]:
            raise Refused(
                ("models", str(index)), f"expected each model once, found {model!r} twice"
            )
    for model in scenario.model_shares:
        if model not in scenario.models:
            expected = f"expected a model of `models`; {closest(model, scenario.models)}"
            raise Refused(("model_shares", model), expected)
    if scenario.model_shares and len(scenario.model_shares) < len(scenario.models):
        missing = sorted(set(scenario.models) - scenario.model_shares.keys())
        raise Refused(
            ("model_shares",), f"expected a share for each model, found none for {missing}"
        )


def _check_groups(scenario: Scenario) -> None:
    served: dict[str, set[str]] = {}
    for name, group in scenario.replicas.items():
        key: Key = ("replicas", name, "model")
        if not group.model and len(scenario.models) > 1:
            raise Refused(key, f"expected one of {', '.join(scenario.models)}, found none")
        model = group.model or scenario.models[0]
        if model not in scenario.models:
            raise Refused(key, f"expected a model of `models`; {closest(model, scenario.models)}")
        if group.count:
            served.setdefault(model, set()).add(group.role)
    for index, model in enumerate(scenario.models):
        if model in scenario.models[:index]:
            raise Refused(
                ("models", str(index)), f"expected each model once, found {model!r} twice"
            )
        roles = served.get(model, set())
        for phase in ("prefill", "decode"):
            if not roles & {phase, "mixed"}:
                have = ", ".join(sorted(roles)) or "none"
                expected = (
                    f"expected at least one {phase} or mixed replica of {model}, found {have}"
                )
                raise Refused(("replicas",), expected)


def _check_size(trace: TraceSpec) -> None:
    if isinstance(trace, PoissonTrace | MixTrace | ServicesTrace):
        expected = trace.rate_per_s * trace.duration_s
        if expected > REQUESTS_MAX:
            most = f"expected at most {REQUESTS_MAX:,} requests in all, found about {expected:,.0f}"
            raise Refused(("trace", "duration_s"), most)


def _check_clocks(scenario: Scenario) -> None:
    """The published table was measured at the highest clock: another one would save energy and cost no time."""
    if scenario.latency == "context":
        return
    slow: list[Key] = [
        ("replicas", name, "clock_mhz" if group.clock_mhz else "power_cap_w")
        for name, group in scenario.replicas.items()
        if group.clock_mhz or group.power_cap_w
    ]
    if scenario.power is not None:
        slow.append(("power", "policy"))
    if scenario.routing.policy == "dynamo":
        slow.append(("routing", "policy"))
    if slow:
        raise Refused(
            slow[0], 'expected latency = "context": the table knows the highest clock alone'
        )


def _check_failures(scenario: Scenario) -> None:
    replicas = sum(group.count for group in scenario.replicas.values())
    for index, failure in enumerate(scenario.failures):
        if failure.replica >= replicas:
            expected = f"expected an index below {replicas} (replicas), found {failure.replica}"
            raise Refused(("failures", str(index), "replica"), expected)


def _check_window(window: tuple[float, ...]) -> None:
    key = ("report", "iterations_window_s")
    if len(window) == 1:
        raise Refused(key, "expected [from, to] or nothing, found one number")
    if window and window[0] >= window[1]:
        raise Refused(key, f"expected from < to, found [{window[0]:g}, {window[1]:g}]")
