"""Prometheus metrics: the gateway's, made from the data plane's counters, and the provider's own.

| metric | type | labels | from |
|---|---|---|---|
| gateway_function_invocation_total | counter | function_name, code | data plane |
| gateway_function_invocation_started | counter | function_name | data plane |
| gateway_functions_seconds | histogram | function_name | data plane |
| gateway_function_invocation_inflight | gauge | function_name | data plane |
| gateway_service_count | gauge | function_name | wanted replicas |
| provider_http_requests_total | counter | code, method, path | this process |
| provider_http_request_duration_seconds | histogram | code, method, path | this process |

`function_name` is always `name.namespace` (contract section 2.8). The host's own metrics: `provider.workings`.
"""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from junctiond.dataplane.statistics import Duration, FunctionCounters, parse_statistics
from junctiond.domain import Function, HostStats
from provider.workings import SandboxTotals, host_families

_SERVED_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})


class RequestMeasures:
    """The provider's own request metrics, with the process's."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("code", "method", "path")
        self._requests = Counter(
            "provider_http_requests", "Requests served", labels, registry=self.registry
        )
        self._duration = Histogram(
            "provider_http_request_duration_seconds",
            "Seconds spent serving requests",
            labels,
            registry=self.registry,
        )

    def observe(self, method: str, route: str, status: int, duration_ns: int) -> None:
        """Count one request under its route; unknown methods share one series, so series are bounded."""
        shown = method if method in _SERVED_METHODS else "other"
        path = route.removesuffix("/{name}")
        self._requests.labels(str(status), shown, path).inc()
        self._duration.labels(str(status), shown, path).observe(duration_ns / 1e9)


class _Families:
    """A collector over metric families that are already made."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(
    measures: RequestMeasures,
    stats: HostStats,
    functions: Sequence[Function],
    totals: SandboxTotals,
) -> bytes:
    """The text of `/metrics`.

    Raises:
        msgspec.MsgspecError: where the data plane's part is not what docs/protocols.md section 4 says.
    """
    statistics = parse_statistics(stats.dataplane_json)
    names = {_name_in_full(function) for function in functions}
    counted = totals.add(statistics.sandboxes, stats.sandboxes, names)
    gateway = CollectorRegistry()
    gateway.register(_Families(list(gateway_families(statistics.functions, functions))))
    gateway.register(_Families(list(host_families(stats, statistics, counted))))
    return generate_latest(gateway) + generate_latest(measures.registry)


def _name_in_full(function: Function) -> str:
    return f"{function.deployment.name}.{function.deployment.namespace}"


def gateway_families(
    counters: Sequence[FunctionCounters], functions: Sequence[Function]
) -> Iterator[Metric]:
    """The metric families of the OpenFaaS gateway."""
    total = Metric("gateway_function_invocation", "Invocations by function and status", "counter")
    started = Metric("gateway_function_invocation_started", "Invocations that began", "unknown")
    seconds = HistogramMetricFamily(
        "gateway_functions_seconds", "Seconds an invocation took", labels=["function_name"]
    )
    inflight = GaugeMetricFamily(
        "gateway_function_invocation_inflight", "Invocations now", labels=["function_name"]
    )
    for one in counters:
        name = {"function_name": one.function_name}
        for code, count in sorted(one.codes.items()):
            total.add_sample("gateway_function_invocation_total", name | {"code": code}, count)
        started.add_sample("gateway_function_invocation_started", name, one.started)
        seconds.add_metric([one.function_name], buckets(one.duration), one.duration.sum_s)
        inflight.add_metric([one.function_name], one.in_flight)
    service_count = GaugeMetricFamily(
        "gateway_service_count", "Replicas wanted", labels=["function_name"]
    )
    for function in functions:
        service_count.add_metric([_name_in_full(function)], function.replicas)
    yield from (total, started, seconds, inflight, service_count)


def buckets(duration: Duration) -> list[tuple[str, float]]:
    """Pairs of bound, written as Go writes it (`5`, not `5.0`), and cumulative count; the last is `+Inf`."""
    pairs = [
        (f"{bound:g}", float(count))
        for bound, count in zip(duration.bounds_s, duration.counts, strict=False)
    ]
    return [*pairs, ("+Inf", float(duration.counts[-1]) if duration.counts else 0.0)]
