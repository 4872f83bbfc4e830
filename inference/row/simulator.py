"""Runs a row under a power policy.

Between two commands that land, clocks are constant and the row is drafted as a whole (see `pool`); its power is averaged
exactly over one-second bins, and the policy gets the mean of each telemetry period, as a PDU would give it. The first
command that the policy gives while it reads the draft cuts the stretch at the time when it lands.
"""

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from inference.domain.action import Action, SetBrake, SetCap
from inference.errors import PolicyError
from inference.policies.precedence import effective_clock
from inference.policies.protocols import PowerPolicy
from inference.row.load import MINUTE_NS, arrivals_ns
from inference.row.pool import Draft, Pool
from inference.row.profile import ServerProfile
from inference.row.result import Command, RowRun
from inference.row.scenario import RowScenario
from inference.row.workload import servers_by_workload

Float64 = npt.NDArray[np.float64]

BIN_NS = 1_000_000_000
STRETCH_BINS_MIN = 60
STRETCH_BINS_MAX = 7200
DAY_BINS = 86_400


class _Row:
    """The state of one run."""

    def __init__(
        self, row: RowScenario, profile: ServerProfile, policy: PowerPolicy | None
    ) -> None:
        self.row = row
        self.profile = profile
        self.policy = policy
        self.bins = row.minutes * 60
        self.power_w = np.zeros(self.bins, dtype=np.float32)
        self.pools = pools_of(row, profile)
        self.cap_mhz = [0] * row.servers
        self.braked = [False] * row.servers
        self.commands: list[Command] = []
        self._pending: list[tuple[int, int, SetCap | SetBrake]] = []
        self._sequence = 0
        self._period = self._telemetry_bins()

    def _telemetry_bins(self) -> int:
        if self.policy is None:
            return 0
        bins, rest = divmod(self.policy.telemetry_ns, BIN_NS)
        if rest or bins < 1:
            raise PolicyError(
                f"a row is simulated in bins of 1 s: telemetry every {self.policy.telemetry_ns} ns does not fit"
            )
        return bins

    def run(self) -> None:
        """From the first bin to the last."""
        now, stretch = 0, STRETCH_BINS_MIN
        while now < self.bins:
            hoped = self.bins if self.policy is None else now + stretch
            until = min(hoped, now + DAY_BINS, self.bins, self._next_landing())
            drafts = [pool.draft(until * BIN_NS) for pool in self.pools]
            self._average(drafts, now, until)
            commanded = len(self.commands)
            end = self._ask(now, until)
            for pool, draft in zip(self.pools, drafts, strict=True):
                pool.settle(draft, end * BIN_NS)
            self._land(end)
            calm = len(self.commands) == commanded
            stretch = min(2 * stretch, STRETCH_BINS_MAX) if calm else STRETCH_BINS_MIN
            now = end

    def _average(self, drafts: list[Draft], now: int, until: int) -> None:
        """Write the mean power of each bin of the stretch: steps are split over their bin and the next by time."""
        from_ns, bins = now * BIN_NS, until - now
        steps = [pool.steps(draft, from_ns) for pool, draft in zip(self.pools, drafts, strict=True)]
        since_ns = np.concatenate([times for times, _ in steps]) - from_ns
        change_w = np.concatenate([changes for _, changes in steps])
        inside = since_ns < bins * BIN_NS
        bin_of, into_ns = np.divmod(since_ns[inside], BIN_NS)
        later = change_w[inside] * (into_ns / BIN_NS)
        size = bins + 1
        rise = np.bincount(bin_of, weights=change_w[inside] - later, minlength=size)
        rise += np.bincount(bin_of + 1, weights=later, minlength=size)
        base_w = sum(pool.power_w(from_ns) for pool in self.pools)
        self.power_w[now:until] = base_w + np.cumsum(rise[:bins])

    def _ask(self, now: int, until: int) -> int:
        """Give the policy its samples up to `until`; what it commands may bring the end of the stretch forward."""
        if self.policy is None:
            return until
        period = self._period
        first = (now // period + 1) * period
        samples = self.power_w[first - period : until].astype(np.float64)
        samples = samples[: len(samples) // period * period].reshape(-1, period).mean(axis=1)
        for index, watts in enumerate(samples.tolist()):
            at = first + index * period
            if at > until:
                break
            actions = self.policy.sample(watts, at * BIN_NS)
            if actions:
                self._expect(actions, at)
                until = min(until, self._next_landing())
        return until

    def _expect(self, actions: Sequence[Action], at: int) -> None:
        for action in actions:
            name = type(action).__name__
            if not isinstance(action, SetCap | SetBrake):
                raise PolicyError(f"a row has no {name}: only caps and the brake")
            if not 0 <= action.replica < self.row.servers:
                raise PolicyError(f"{name}: there is no server {action.replica}")
            if isinstance(action, SetCap) and action.clock_mhz < 0:
                raise PolicyError(f"{name}: no clock of {action.clock_mhz} MHz")
            lands = at + -(-action.delay_ns // BIN_NS)
            if lands <= at:
                raise PolicyError(f"{name}: a row's commands take at least one bin of 1 s to land")
            self._sequence += 1
            heappush(self._pending, (lands, self._sequence, action))

    def _next_landing(self) -> int:
        return self._pending[0][0] if self._pending else self.bins

    def _land(self, now: int) -> None:
        """Carry out what lands now, servers of one new clock together."""
        touched: dict[int, None] = {}
        while self._pending and self._pending[0][0] <= now:
            _, _, action = heappop(self._pending)
            if isinstance(action, SetCap):
                self.cap_mhz[action.replica] = action.clock_mhz
            else:
                self.braked[action.replica] = action.engaged
            touched[action.replica] = None
        groups: dict[tuple[int, bool], list[int]] = {}
        for server in touched:
            groups.setdefault((self._clock_mhz(server), self.braked[server]), []).append(server)
        for (clock_mhz, braked), servers in groups.items():
            self.commands.append(Command(now * BIN_NS, tuple(servers), clock_mhz, braked))
            for pool in self.pools:
                slots = [
                    server - pool.servers.start for server in servers if server in pool.servers
                ]
                pool.set_clock(slots, clock_mhz, now * BIN_NS)

    def _clock_mhz(self, server: int) -> int:
        row, highest = self.row, self.profile.clock_mhz_max
        braked = self.braked[server]
        return effective_clock(highest, self.cap_mhz[server], braked, row.brake_clock_mhz)[0]


def busy_shares(row: RowScenario) -> Float64:
    """Offered load of each minute of a row's run."""
    return row.load.busy(row.minutes, np.random.default_rng([row.seed, 0]))


def pools_of(row: RowScenario, profile: ServerProfile) -> list[Pool]:
    """The row's servers by workload, with the requests of the whole run. The same scenario gives the same requests."""
    busy = busy_shares(row)
    bursts = row.load.bursts_ns(row.minutes, np.random.default_rng([row.seed, 1]))
    counts = servers_by_workload(row.workloads, row.servers)
    fastest = profile.at_clock(profile.clock_mhz_max)
    pools, first = [], 0
    for index, (workload, count) in enumerate(zip(row.workloads, counts, strict=True)):
        rng = np.random.default_rng([row.seed, 2, index])
        prompts, outputs = workload.lengths(20_000, rng)
        served_ns = fastest.prefill_time_ns(prompts) + fastest.decode_time_ns(prompts, outputs)
        per_minute = busy * count * MINUTE_NS / float(served_ns.mean())
        arrivals = np.concatenate(
            (
                arrivals_ns(per_minute, row.load.balanced_over, rng),
                row.load.burst_arrivals_ns(bursts, count, rng),
            )
        )
        arrivals.sort()
        prompts, outputs = workload.lengths(len(arrivals), rng)
        pools.append(Pool(range(first, first + count), profile, arrivals, prompts, outputs))
        first += count
    return pools


def simulate(row: RowScenario, profile: ServerProfile, policy: PowerPolicy | None) -> RowRun:
    """Run a row for its whole time.

    Args:
        row: what it is.
        profile: of its servers.
        policy: that watches its power; None for a row that may draw whatever it likes.

    Raises:
        PolicyError: the policy asks for something that a row cannot do.
    """
    state = _Row(row, profile, policy)
    state.run()
    return RowRun.of(row, policy, state.power_w, state.pools, state.commands, profile)
