"""What a run of a row gives: its power, the commands that landed, and what requests waited for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import minimum_filter1d

from inference.domain.request import Priority
from inference.models.provenance import Provenance
from inference.policies.protocols import PowerPolicy
from inference.row.pool import Pool
from inference.row.profile import ServerProfile
from inference.row.scenario import RowScenario

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

BIN_NS = 1_000_000_000
TELEMETRY_BINS = 2
RISE_SAMPLES = 20
WARMUP_BINS = 1800


@dataclass(frozen=True, slots=True)
class Command:
    """A command that landed on servers.

    Attributes:
        at_ns: when it took effect.
        servers: whose clock it was.
        clock_mhz: the clock in force from then on.
        braked: whether the brake holds it there.
    """

    at_ns: int
    servers: tuple[int, ...]
    clock_mhz: int
    braked: bool


@dataclass(frozen=True, slots=True, eq=False)
class RequestTimes:
    """Requests of one workload that were served to their end, in order of arrival.

    Attributes:
        workload: its name.
        priority: of its servers.
        index: of each request among all that arrived.
        arrival_ns, start_ns, finish_ns: at the queue, on a server, last token.
        output_tokens: generated.
    """

    workload: str
    priority: Priority
    index: Int64
    arrival_ns: Int64
    start_ns: Int64
    finish_ns: Int64
    output_tokens: Int64

    @property
    def latency_ns(self) -> Int64:
        """From arrival to last token."""
        return self.finish_ns - self.arrival_ns

    @property
    def service_ns(self) -> Int64:
        """From the start on a server to the last token."""
        return self.finish_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class PowerStatistics:
    """The figures by which the paper describes a row's power; shares of provisioned power.

    Attributes:
        peak, mean: of the telemetry samples of 2 s.
        rise_2s: largest rise from one sample to the next.
        rise_40s: largest rise from any sample to one at most 40 s later.
    """

    peak: float
    mean: float
    rise_2s: float
    rise_40s: float


@dataclass(frozen=True, slots=True, eq=False)
class RowRun:
    """One run of a row.

    Attributes:
        row: the scenario.
        policy: name of its policy; "unlimited" without one.
        clock_mhz_max: of its servers.
        power_w: mean power of the whole row in each second.
        requests: by workload.
        commands: in the order in which they landed.
        provenance: of the server profile: modelled figures stay modelled.
    """

    row: RowScenario
    policy: str
    clock_mhz_max: int
    power_w: Float32
    requests: tuple[RequestTimes, ...]
    commands: tuple[Command, ...]
    provenance: Provenance

    @classmethod
    def of(
        cls,
        row: RowScenario,
        policy: PowerPolicy | None,
        power_w: Float32,
        pools: Sequence[Pool],
        commands: Sequence[Command],
        profile: ServerProfile,
    ) -> "RowRun":
        """Keep of the pools the requests that were finished when the run ended."""
        end_ns = len(power_w) * BIN_NS
        requests = []
        for workload, pool in zip(row.workloads, pools, strict=True):
            done = np.flatnonzero((pool.finish_ns >= 0) & (pool.finish_ns <= end_ns))
            requests.append(
                RequestTimes(
                    workload.name,
                    workload.priority,
                    done,
                    pool.arrival_ns[done],
                    pool.start_ns[done],
                    pool.finish_ns[done],
                    pool.output_tokens[done],
                )
            )
        table = getattr(policy, "table", None)
        name = "unlimited" if policy is None else getattr(table, "name", type(policy).__name__)
        return cls(
            row,
            name,
            profile.clock_mhz_max,
            power_w,
            tuple(requests),
            tuple(commands),
            profile.provenance,
        )

    @property
    def brakes(self) -> int:
        """How often the power brake took hold of the row."""
        return len(self.brake_seconds())

    def brake_seconds(self) -> tuple[int, ...]:
        """Seconds of the run in which it took hold."""
        seconds, held = [], False
        for command in self.commands:
            if 0 in command.servers and command.braked != held:
                held = command.braked
                if held:
                    seconds.append(command.at_ns // BIN_NS)
        return tuple(seconds)

    def statistics(self) -> PowerStatistics:
        """Peak, mean and largest rises of the row's power, once the row has filled up."""
        return statistics_of(self.power_w[WARMUP_BINS:], self.row.provisioned_w)

    def latency_s(self, priority: Priority) -> Float64:
        """Latencies of all requests of a priority, workload after workload."""
        parts = [own.latency_ns for own in self.requests if own.priority is priority]
        return np.concatenate(parts) / 1e9

    def tokens_per_busy_s(self, priority: Priority) -> float:
        """Output tokens for each second that a server of this priority was busy: what a cap takes from its throughput."""
        own = [part for part in self.requests if part.priority is priority]
        tokens = sum(int(part.output_tokens.sum()) for part in own)
        return tokens * 1e9 / sum(int(part.service_ns.sum()) for part in own)

    def completed(self, priority: Priority) -> int:
        """Requests of a priority that were finished in time."""
        return sum(len(part.index) for part in self.requests if part.priority is priority)

    def capped_share(self, priority: Priority) -> float:
        """Share of server time of a priority that was spent below the highest clock."""
        members = {i for i, own in enumerate(self.row.priorities()) if own is priority}
        end_ns = len(self.power_w) * BIN_NS
        since: dict[int, int] = {}
        capped_ns = 0
        for command in self.commands:
            for server in members.intersection(command.servers):
                if command.clock_mhz < self.clock_mhz_max:
                    since.setdefault(server, command.at_ns)
                elif server in since:
                    capped_ns += command.at_ns - since.pop(server)
        capped_ns += sum(end_ns - start for start in since.values())
        return capped_ns / (end_ns * len(members))


def statistics_of(power_w: npt.ArrayLike, provisioned_w: float) -> PowerStatistics:
    """Statistics of a series of one-second means, taken over telemetry samples of 2 s."""
    seconds = np.asarray(power_w, dtype=np.float64)
    whole = seconds[: len(seconds) // TELEMETRY_BINS * TELEMETRY_BINS]
    samples = whole.reshape(-1, TELEMETRY_BINS).mean(axis=1) / provisioned_w
    # The window of the filter is centred; shifted so that it ends at the sample.
    lowest = minimum_filter1d(samples, RISE_SAMPLES + 1, origin=RISE_SAMPLES // 2, mode="nearest")
    return PowerStatistics(
        float(samples.max()),
        float(samples.mean()),
        float(np.diff(samples).max(initial=0.0)),
        float((samples - lowest).max()),
    )
