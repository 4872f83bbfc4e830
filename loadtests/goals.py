"""Every promised figure and its bounds, in one table. docs/specification.md lists the same; a test compares.

A goal is a row of that table; each of its bounds limits one figure of one or more functions, as a value, as a ratio to a
baseline of the same rounds, or as a difference from it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Of(StrEnum):
    """What a bound limits."""

    VALUE = "value"
    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit of one figure.

    Attributes:
        figure: its name (docs/metrics.md).
        of: the value itself, its ratio to the baseline's or its difference from it, both medians of per-round pairs.
        limit: kept when at or below (`at_most`), or at or above it.
        unit: of the limit; empty for a ratio.
        subjects: the functions, or simulated workloads, that must all keep it; the empty name where a figure is of none.
        baseline: what the figure is recorded beside; empty: nothing.
        attachment: how the function must really have been attached ("ring", "fd"); empty: as may be.
        placement: which placement counts ("split", "one", "free"); empty: it has none.
        stretch: a further limit that is aimed for and not promised.
    """

    figure: str
    of: Of
    limit: float
    unit: str = ""
    at_most: bool = True
    subjects: tuple[str, ...] = ("aes",)
    baseline: str = ""
    attachment: str = ""
    placement: str = ""
    stretch: float | None = None

    def met(self, measured: float) -> bool:
        """Whether the limit is kept."""
        return self._keeps(measured, self.limit)

    def stretch_met(self, measured: float) -> bool | None:
        """Whether the further limit is kept; None where there is none."""
        return None if self.stretch is None else self._keeps(measured, self.stretch)

    def _keeps(self, measured: float, limit: float) -> bool:
        return measured <= limit if self.at_most else measured >= limit

    def text(self, limit: float | None) -> str:
        """A limit of this bound as tables write it; empty where there is none."""
        if limit is None:
            return ""
        sign = "<=" if self.at_most else ">="
        if self.of is Of.RATIO:
            return f"{sign} {limit:.3g} x {self.baseline}"
        beside = f"{self.baseline} + " if self.of is Of.DIFFERENCE else ""
        return f"{sign} {beside}{limit:g} {self.unit}".rstrip()

    def __str__(self) -> str:
        return self.text(self.limit)


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table of goals.

    Attributes:
        name: a short one for programs.
        words: the figure as people call it.
        benchmark: the section of `make bench` (or the other benchmark) that measures it.
    """

    name: str
    words: str
    benchmark: str
    bounds: tuple[Bound, ...]


RINGS = ("hello", "asyncio", "node-hello", "nginx", "epoll", "aes")
"""Functions that ride on rings: a shim is preloaded into the dynamic ones, and grafted into the static Go program."""
FD = ("aes",)
"""The function that stands for static programs on the fd attachment; its rings are turned off for that."""
S = "split"
P = "own"
HOP_GOALS = (
    Goal(
        "ring-latency",
        "ring attachment: p50 of a sequential 600-byte invocation",
        "warm",
        (Bound("latency_us_p50", Of.DIFFERENCE, 15, "us", True, RINGS, "bare", "ring", S, 10),),
    ),
    Goal(
        "ring-throughput",
        "ring attachment: requests/s at 8 connections",
        "warm",
        (Bound("rps_c8", Of.RATIO, 0.75, "", False, RINGS, "bare", "ring", S, 0.85),),
    ),
    Goal(
        "ring-cpu",
        "ring attachment: CPU time per invocation",
        "warm",
        (
            Bound("cpu_us_c8", Of.DIFFERENCE, 5, "us", True, RINGS, "bare", "ring", S),
            Bound("cpu_us_sequential", Of.DIFFERENCE, 15, "us", True, RINGS, "bare", "ring", S),
        ),
    ),
    Goal(
        "fd",
        "fd attachment with static Go, one core",
        "warm",
        (
            Bound("latency_us_p50", Of.DIFFERENCE, 30, "us", True, FD, "bare", "fd", S),
            Bound("rps_c8", Of.RATIO, 0.7, "", False, FD, "bare", "fd", S),
            Bound("cpu_us_c8", Of.DIFFERENCE, 20, "us", True, FD, "bare", "fd", S),
        ),
    ),
    Goal(
        "nginx",
        "beside nginx proxying to the same function",
        "warm",
        (
            Bound("latency_us_p50", Of.RATIO, 1, "", True, RINGS, "nginx", "ring", S),
            Bound("rps_c8", Of.RATIO, 1.4, "", False, RINGS, "nginx", "ring", S),
            Bound("latency_us_p50", Of.RATIO, 1, "", True, FD, "nginx", "fd", S),
            Bound("rps_c8", Of.RATIO, 1.4, "", False, FD, "nginx", "fd", S),
        ),
    ),
)
FAASD_GOALS = (
    Goal(
        "faasd-stock",
        "`aes` beside what stands in for stock faasd",
        "faasd",
        (
            Bound("latency_us_p50", Of.RATIO, 1 / 100, "", True, FD, "openfaas", "", P),
            Bound("latency_us_p99", Of.RATIO, 1 / 20, "", True, FD, "openfaas", "", P),
            Bound("rps_peak", Of.RATIO, 45, "", False, FD, "openfaas", "", P),
        ),
    ),
    Goal(
        "faasd-cached",
        "`aes` beside the same with look-ups cached",
        "faasd",
        (
            Bound("latency_us_p50", Of.RATIO, 1 / 15, "", True, FD, "openfaas-cached", "", P),
            Bound("latency_us_p99", Of.RATIO, 1 / 5, "", True, FD, "openfaas-cached", "", P),
            Bound("rps_peak", Of.RATIO, 15, "", False, FD, "openfaas-cached", "", P),
        ),
    ),
)
TAIL_GOALS = (
    Goal(
        "tail",
        "p99, any of ours",
        "warm",
        (
            Bound("latency_us_p99", Of.RATIO, 2, "", True, RINGS, "bare", "ring", S),
            Bound("latency_us_p99", Of.RATIO, 2, "", True, FD, "bare", "fd", S),
        ),
    ),
    Goal(
        "open-loop",
        "open loop at 75 % of own peak: p99",
        "open",
        (
            Bound("open75_latency_ms_p99", Of.VALUE, 2, "ms", True, RINGS, "", "ring", S),
            Bound("open75_latency_ms_p99", Of.VALUE, 2, "ms", True, FD, "", "fd", S),
        ),
    ),
    Goal(
        "new-connection",
        "new connection per request: p50",
        "fresh",
        (
            Bound("fresh_latency_us_p50", Of.RATIO, 1.2, "", True, RINGS, "bare", "ring", S),
            Bound("fresh_latency_us_p50", Of.RATIO, 1.2, "", True, FD, "bare", "fd", S),
        ),
    ),
    Goal(
        "ring-echo",
        "ring echo, 1 byte: same core, polled across cores",
        "echo",
        (
            Bound("echo_same_core_us", Of.VALUE, 4, "us", True, ("",)),
            Bound("echo_polled_us", Of.VALUE, 0.8, "us", True, ("",)),
        ),
    ),
)
HOST_GOALS = (
    Goal(
        "launch",
        "launch to first 200",
        "cold",
        (
            Bound("launch_to_first_200_ms_p50", Of.VALUE, 8, "ms", True, FD, "bare", "", P),
            Bound(
                "launch_to_first_200_ms_p50", Of.VALUE, 25, "ms", True, ("hello",), "bare", "", P
            ),
        ),
    ),
    Goal(
        "sustained",
        "cold starts sustained, scale from zero and back",
        "sustained",
        (
            Bound("cold_starts_per_s", Of.VALUE, 250, "1/s", False, FD, "", "", P),
            Bound("cold_start_ms_p99", Of.VALUE, 50, "ms", True, FD, "", "", P),
            Bound("leaked10000_count", Of.VALUE, 0, "", True, FD, "", "", P),
        ),
    ),
    Goal(
        "memory",
        "platform memory per idle replica",
        "memory",
        (Bound("platform_mib_per_replica", Of.VALUE, 1, "MiB", True, FD, "", "", P),),
    ),
    Goal(
        "thousand",
        "1,000 idle replicas on one host",
        "idle",
        (
            Bound("idle1000_host_gib", Of.VALUE, 8, "GiB", True, FD, "", "", P),
            Bound("idle1000_cpu_cores", Of.VALUE, 0.02, "cores", True, FD, "", "", P),
        ),
    ),
)
COMPAT = ("whole-compat", "split-compat")
CONTEXT = ("whole-context", "split-context")
SIMULATOR_GOALS = (
    Goal(
        "simulator-compat",
        "simulator, compat mode: 40 machines, 70 requests/s",
        "simulator",
        (
            Bound("requests_per_cpu_s", Of.VALUE, 10_000, "1/s", False, COMPAT, stretch=20_000),
            Bound("peak_rss_mib", Of.VALUE, 286, "MiB", True, COMPAT),
        ),
    ),
    Goal(
        "simulator-context",
        "the same with the cost of contexts and shared links",
        "simulator",
        (Bound("requests_per_cpu_s", Of.VALUE, 5_000, "1/s", False, CONTEXT),),
    ),
    Goal(
        "simulator-growth",
        "CPU time per simulated request as the work grows",
        "simulator",
        (
            Bound(
                "cpu_us_per_request",
                Of.RATIO,
                3,
                "",
                True,
                ("machines",),
                "machines10",
                stretch=1.5,
            ),
            Bound("cpu_us_per_request", Of.RATIO, 1.2, "", True, ("minutes",), "minutes2"),
        ),
    ),
)
GOALS = (*HOP_GOALS, *FAASD_GOALS, *TAIL_GOALS, *HOST_GOALS, *SIMULATOR_GOALS)
