"""The trace that a scenario asks for: drawn or read, cut, and shared out over models and priorities."""

from pathlib import Path

from inference.errors import ScenarioError, TraceError
from inference.scenarios.spec import Scenario
from inference.scenarios.trace_spec import (
    AzureTrace,
    CsvTrace,
    MixTrace,
    MooncakeTrace,
    PoissonTrace,
    ServiceSpec,
    ServicesTrace,
    TraceSpec,
    WeekTrace,
)
from inference.traces.azure import azure_2023, read_azure
from inference.traces.csv_file import FORMATS, read_csv
from inference.traces.lengths import Lengths2024
from inference.traces.mix import CONVERSATION_1H, class_mix
from inference.traces.mooncake import read_mooncake
from inference.traces.poisson import resampled
from inference.traces.selection import first, sampled, window, with_low_priority, with_models
from inference.traces.services import POLCA_SERVICES, Service, service_mix
from inference.traces.trace import Trace
from inference.traces.week import week_trace

WEEK_S = 604_800.0


def trace_of_scenario(scenario: Scenario, source: str) -> Trace:
    """Requests of a scenario; the same for the same scenario and seed.

    Args:
        scenario: what is asked for.
        source: file that errors name.

    Raises:
        ScenarioError: a key of the trace is out of range, or nothing is left of it.
        TraceError: a trace file is not as it must be.
    """
    spec = scenario.trace
    try:
        trace = sampled(_made(spec, scenario.seed), spec.sample, scenario.seed)
        if scenario.limits.requests_max:
            trace = first(trace, scenario.limits.requests_max)
        trace = _with_models(trace, scenario, source)
        if spec.low_share:
            trace = with_low_priority(trace, spec.low_share, scenario.seed)
    except TraceError as error:
        if isinstance(spec, CsvTrace | MooncakeTrace) and error.source == spec.path:
            raise
        raise ScenarioError(source, f"trace.{error.key}", error.expected) from None
    return trace


def _made(spec: TraceSpec, seed: int) -> Trace:
    match spec:
        case AzureTrace():
            return _hour(spec)
        case PoissonTrace():
            return resampled(azure_2023(spec.lengths), spec.rate_per_s, spec.duration_s, seed)
        case WeekTrace():
            return _week(spec, seed)
        case MixTrace():
            percent = spec.percent or CONVERSATION_1H
            return class_mix(percent, spec.rate_per_s, spec.duration_s, seed)
        case ServicesTrace():
            services = [_service(name, one) for name, one in spec.services.items()]
            name = "services" if services else "polca-services"
            made = services or POLCA_SERVICES
            return service_mix(made, spec.rate_per_s, spec.duration_s, seed, name)
        case CsvTrace():
            if spec.format == "azure":
                return read_azure(Path(spec.path))
            return read_csv(Path(spec.path), FORMATS[spec.format])
        case MooncakeTrace():
            return read_mooncake(Path(spec.path))


def _hour(spec: AzureTrace) -> Trace:
    trace = azure_2023(spec.service)
    if not spec.start_s and not spec.duration_s:
        return trace
    # One second more than the last arrival: the window's end is exclusive.
    end_s = spec.start_s + spec.duration_s if spec.duration_s else trace.duration_ns / 1e9 + 1
    return window(trace, spec.start_s, end_s)


def _week(spec: WeekTrace, seed: int) -> Trace:
    lengths = Lengths2024(spec.service) if spec.lengths == "2024" else None
    end_s = min(spec.start_s + spec.duration_s, WEEK_S)
    return week_trace(
        spec.service,
        seed,
        scale=spec.rate_factor,
        start_s=spec.start_s,
        end_s=end_s,
        lengths=lengths,
    )


def _service(name: str, spec: ServiceSpec) -> Service:
    prompt, output = spec.prompt_tokens, spec.output_tokens
    ranges = ((prompt[0], prompt[1]), (output[0], output[1]))
    return Service(name, spec.share, *ranges, low_share=spec.low_share)


def _with_models(trace: Trace, scenario: Scenario, source: str) -> Trace:
    """Models drawn by their shares; those that a file gives stay."""
    highest, count = int(trace.model.max()), len(scenario.models)
    if highest >= count:
        expected = f"expected a model for each index of the trace, up to {highest}, found {count}"
        raise ScenarioError(source, "models", expected)
    if count == 1 or highest > 0:
        return trace
    shares = [scenario.model_shares.get(name, 1.0) for name in scenario.models]
    return with_models(trace, shares, scenario.seed)
