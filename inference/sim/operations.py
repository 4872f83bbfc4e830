"""Carries out what control and power policies ask for, and keeps them called at their periods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from inference.domain.action import (
    Action,
    MoveRequest,
    ReorderQueue,
    Reshard,
    SetBrake,
    SetCap,
    SetClock,
    SquashRequest,
    StartReplica,
    StopReplica,
)
from inference.errors import PolicyError
from inference.policies.precedence import ClockArbiter
from inference.policies.protocols import ControlPolicy, PowerPolicy
from inference.sim import relocation
from inference.sim.cluster import Cluster
from inference.sim.replica import Replica

BRAKE_CLOCK_MHZ = 288
"""SM clock of a GPU under the power brake (POLCA, section 2; an A100's)."""


@dataclass(frozen=True, slots=True)
class Row:
    """The power domain that a power policy watches.

    Attributes:
        policy: its controller.
        server_power_w: power of everything in the row that is not a GPU (fans, CPUs, …), constant.
        telemetry_delay_ns: how old a sample is when the controller has it.
    """

    policy: PowerPolicy
    server_power_w: float
    telemetry_delay_ns: int = 0


class Operations:
    """Applies actions to a cluster, at once or when their delay has passed.

    Attributes:
        applied: how many actions of each kind have taken effect.
        row_power_w: samples of the row's power: (time, watts).
    """

    def __init__(self, cluster: Cluster, alive: Callable[[], bool]) -> None:
        """`alive` tells whether anything is left to simulate; periodic policies stop with it."""
        self._cluster = cluster
        self._alive = alive
        self._arbiters: dict[int, ClockArbiter] = {}
        self._successors: dict[int, list[int]] = {}
        self.applied: dict[str, int] = {}
        self.row_power_w: list[tuple[int, float]] = []
        cluster.on_idle = self._retire_if_done

    # --- periodic policies ----------------------------------------------------------------------

    def control(self, policy: ControlPolicy) -> None:
        """Call a control policy now and at each of its periods.

        Raises:
            PolicyError: its period is no time: it would be called for ever at this very time.
        """
        if policy.period_ns < 1:
            raise PolicyError(f"control: a period must be at least 1 ns, not {policy.period_ns}")
        self._cluster.events.schedule(self._cluster.events.now_ns, self._decide, policy)

    def watch(self, row: Row) -> None:
        """Sample the row's power at each telemetry period."""
        events = self._cluster.events
        events.schedule(events.now_ns + row.policy.telemetry_ns, self._sample, row)

    def _decide(self, policy: ControlPolicy, sequence: int) -> None:
        if not self._alive():
            return
        self._cluster.check_progress()
        events = self._cluster.events
        self.apply(policy.decide(self._cluster.columns, events.now_ns))
        events.schedule(events.now_ns + policy.period_ns, self._decide, policy)

    def _sample(self, row: Row, sequence: int) -> None:
        if not self._alive():
            return
        self._cluster.check_progress()
        events = self._cluster.events
        power_w = row.server_power_w + sum([one.power_w for one in self._cluster.replicas])
        self.row_power_w.append((events.now_ns, power_w))
        report = (row, power_w)
        events.schedule(events.now_ns + row.telemetry_delay_ns, self._report, report)
        events.schedule(events.now_ns + row.policy.telemetry_ns, self._sample, row)

    def _report(self, report: tuple[Row, float], sequence: int) -> None:
        row, power_w = report
        self.apply(row.policy.sample(power_w, self._cluster.events.now_ns))

    # --- actions --------------------------------------------------------------------------------

    def apply(self, actions: Sequence[Action]) -> None:
        """Carry actions out in their order; those with a delay land later.

        Raises:
            PolicyError: an action names a replica, a clock or GPUs that are not there.
        """
        for action in actions:
            if isinstance(action, SetClock | SetCap | SetBrake):
                self._replica(action.replica, type(action).__name__)
                if action.delay_ns:
                    due_ns = self._cluster.events.now_ns + action.delay_ns
                    self._cluster.events.schedule(due_ns, self._land, action)
                    continue
            self._act(action)

    def _land(self, action: Action, sequence: int) -> None:
        self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case StartReplica():
                done = self._start(action)
            case StopReplica():
                done = self._stop(self._replica(action.replica, "StopReplica"))
            case Reshard():
                done = self._reshard(action)
            case MoveRequest():
                self._replica(action.source, "MoveRequest")
                done = relocation.move(
                    self._cluster, action.request_id, action.source, action.target
                )
            case ReorderQueue():
                relocation.reorder(
                    self._replica(action.replica, "ReorderQueue"), action.request_ids
                )
                done = True
            case SquashRequest():
                self._replica(action.replica, "SquashRequest")
                done = relocation.squash(self._cluster, action.request_id, action.replica)
            case SetClock() | SetCap() | SetBrake():
                done = self._tune(action)
        if done:
            self._count(type(action).__name__)

    def _count(self, kind: str) -> None:
        self.applied[kind] = self.applied.get(kind, 0) + 1

    def _replica(self, index: int, action: str) -> Replica:
        if not 0 <= index < len(self._cluster.replicas):
            raise PolicyError(f"{action}: there is no replica {index}")
        return self._cluster.replicas[index]

    # --- clocks ---------------------------------------------------------------------------------

    def _bounded(self, action: SetClock | SetCap | SetBrake) -> bool:
        """Caps and brakes are of GPUs, and hold for the replicas that took them over."""
        if isinstance(action, SetClock):
            return False
        successors = self._successors.get(action.replica, ())
        landed = [self._tune(replace(action, replica=one)) for one in successors]
        return any(landed)

    def _tune(self, action: SetClock | SetCap | SetBrake) -> bool:
        """Let the arbiter rule, and bring the replica to the clock in force if that has changed."""
        index, cluster = action.replica, self._cluster
        replica = cluster.replicas[index]
        if cluster.ledger.replicas[index].stopped_ns >= 0:
            return self._bounded(action)
        limit_mhz = replica.spec.clock_mhz if replica.spec.power_cap_w else 0
        if limit_mhz and isinstance(action, SetClock):
            # The clock that its power cap allows: policies may go below it, not above.
            wish_mhz = min(action.clock_mhz or limit_mhz, limit_mhz)
            action = replace(action, clock_mhz=wish_mhz)
        try:
            ruling = self._arbiter(replica).apply(action)
        except ValueError as wrong:
            raise PolicyError(f"{type(action).__name__} of replica {index}: {wrong}") from wrong
        if not ruling.changed:
            return False
        made, clock_mhz = cluster.mechanisms, ruling.clock_mhz
        power = None if made.power is None else made.power(replica.spec).at_clock(clock_mhz)
        latency = made.latency(replica.spec).at_clock(clock_mhz)
        cluster.columns.clock_mhz[index] = clock_mhz
        replica.retune(latency, power, cluster.events.now_ns)
        return True

    def _arbiter(self, replica: Replica) -> ClockArbiter:
        arbiter = self._arbiters.get(replica.index)
        if arbiter is None:
            gpu = replica.spec.gpu
            brake_mhz = min(BRAKE_CLOCK_MHZ, gpu.clock_mhz_max)
            arbiter = ClockArbiter(gpu.clock_mhz_min, gpu.clock_mhz_max, brake_mhz)
            arbiter.wish(replica.spec.clock_mhz)
            self._arbiters[replica.index] = arbiter
        return arbiter

    # --- replicas -------------------------------------------------------------------------------

    def _start(self, action: StartReplica) -> bool:
        cluster = self._cluster
        replica = cluster.add(action.spec, accepting=False)
        cluster.rerouted()
        due_ns = cluster.events.now_ns + action.delay_ns
        cluster.events.schedule(due_ns, self._ready, [replica.index])
        return True

    def _ready(self, replicas: list[int], sequence: int) -> None:
        for index in replicas:
            if index not in self._cluster.stopping:
                self._cluster.columns.accepting[index] = True
        self._cluster.rerouted()

    def _stop(self, replica: Replica) -> bool:
        index = replica.index
        if index in self._cluster.stopping:
            return False
        self._cluster.stopping.add(index)
        self._cluster.draining.add(index)
        self._cluster.columns.accepting[index] = False
        self._cluster.rerouted()
        self._retire_if_done(index)
        return True

    def _retire_if_done(self, index: int) -> None:
        """A draining replica goes when nobody's tokens or caches are there, those on their way elsewhere included."""
        cluster = self._cluster
        if index in cluster.draining and cluster.columns.reckoning.settled(index):
            cluster.draining.remove(index)
            cluster.ledger.replicas[index].stopped_ns = cluster.events.now_ns
            cluster.replicas[index].retire(cluster.events.now_ns)

    def _reshard(self, action: Reshard) -> bool:
        old = [self._replica(index, "Reshard") for index in action.replicas]
        if len(set(action.replicas)) != len(old):
            raise PolicyError(f"Reshard: a replica is named twice in {action.replicas}")
        gone = [one.index for one in old if one.index in self._cluster.stopping]
        if gone:
            raise PolicyError(f"Reshard: replicas {gone} are being stopped")
        had, wanted = sum(one.spec.tp for one in old), sum(spec.tp for spec in action.specs)
        if wanted > had:
            raise PolicyError(
                f"Reshard: {wanted} GPUs wanted of the {had} that {action.replicas} hold"
            )
        if {(one.spec.model_id, one.spec.model) for one in old} != {
            (spec.model_id, spec.model) for spec in action.specs
        }:
            raise PolicyError(f"Reshard: replicas {action.replicas} serve another model")
        events = self._cluster.events
        events.schedule(events.now_ns + action.copy_ns, self._switch, action)
        return False  # counted when it is done

    def _switch(self, action: Reshard, sequence: int) -> None:
        """The weights are in place: the new replicas take over, after a pause."""
        cluster, now_ns = self._cluster, self._cluster.events.now_ns
        sources = [index for index in action.replicas if index not in self._cluster.stopping]
        if len(sources) < len(action.replicas):
            return  # one was stopped meanwhile: its GPUs are not ours any more
        if any(cluster.lost.get(index) for index in sources):
            return  # its machine is down: there is nothing to copy from, and nowhere to
        fresh = [cluster.add(spec, accepting=False) for spec in action.specs]
        targets = [one.index for one in fresh]
        for one in fresh:
            one.halt(now_ns)
        relocation.evacuate(cluster, sources, targets)
        for index in sources:
            self._cluster.stopping.add(index)
            cluster.ledger.replicas[index].stopped_ns = now_ns
        self._inherit(sources, targets)
        self._count("Reshard")
        cluster.events.schedule(now_ns + action.pause_ns, self._resume, targets)

    def _inherit(self, sources: list[int], targets: list[int]) -> None:
        """What bounds the clock of the GPUs goes on doing so: the lowest cap, and any brake."""
        rulers = [self._arbiters[index] for index in sources if index in self._arbiters]
        caps = [one.cap_mhz for one in rulers if one.cap_mhz]
        for target in targets:
            if caps:
                self._tune(SetCap(target, min(caps)))
            if any(one.braked for one in rulers):
                self._tune(SetBrake(target, True))
        for index in sources:
            self._successors[index] = targets

    def _resume(self, targets: list[int], sequence: int) -> None:
        for index in targets:
            self._cluster.replicas[index].resume(self._cluster.events.now_ns)
        self._ready(targets, sequence)
