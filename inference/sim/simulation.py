"""One run: a trace through a cluster, to the last token."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from inference.domain.replica import ReplicaSpec
from inference.models.provenance import Provenance
from inference.policies.protocols import ControlPolicy
from inference.results.run import RunResult
from inference.sim.audit import audit
from inference.sim.cluster import Cluster
from inference.sim.events import EventQueue
from inference.sim.faults import Fault, inject
from inference.sim.harvest import harvest
from inference.sim.ledger import IterationLog, Ledger
from inference.sim.mechanisms import Mechanisms
from inference.sim.operations import Operations, Row
from inference.sim.series import Series
from inference.traces.trace import Trace

PROGRESS_STEPS = 200


def _none() -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run is made of. Policies keep state: make new ones for each run.

    Attributes:
        name, seed: of the scenario; the seed is only reported, randomness is in the trace and the policies.
        trace: requests.
        replicas: of the cluster at the start, in order of their indexes.
        mechanisms: policies and models.
        controls: periodic policies, called in this order where their times are equal.
        row: a power policy with its row; None for none.
        faults: what goes wrong, and when.
        series_period_ns: 0 for no series.
        window_ns: of the iteration log (begin, end); None for none.
        end_ns: cut the run there; None: to the last token.
        pools, models: names by index.
        provenance: of the profiles used.
        warnings: asked at the end (extrapolations are only known then).
    """

    name: str
    seed: int
    trace: Trace
    replicas: Sequence[ReplicaSpec]
    mechanisms: Mechanisms
    controls: Sequence[ControlPolicy] = ()
    row: Row | None = None
    faults: Sequence[Fault] = ()
    series_period_ns: int = 0
    window_ns: tuple[int, int] | None = None
    end_ns: int | None = None
    pools: tuple[str, ...] = ("all",)
    models: tuple[str, ...] = ("model",)
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    warnings: Callable[[], tuple[str, ...]] = _none


class Simulation:
    """Runs a plan once.

    Attributes:
        cluster, operations: open to inspection by tests and by drivers that add events of their own.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._events = EventQueue()
        series = Series(plan.series_period_ns) if plan.series_period_ns else None
        log = None if plan.window_ns is None else IterationLog(*plan.window_ns, rows=[])
        self._ledger = Ledger(len(plan.trace), series, log)
        self.cluster = Cluster(plan.mechanisms, self._events, self._ledger)
        self.operations = Operations(self.cluster, self._alive)
        for spec in plan.replicas:
            self.cluster.add(spec)
        self.cluster.rerouted()

    def run(self, progress: Callable[[float], None] | None = None) -> RunResult:
        """Simulate to the end. `progress` is told the share of arrivals that are past, 0 to 1.

        Raises:
            PolicyError: a policy decided what cannot be carried out.
            AuditError: the run broke a law of conservation.
        """
        plan, events = self._plan, self._events
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        for fault in plan.faults:
            inject(self.cluster, fault)
        self.cluster.feed(plan.trace)
        for control in plan.controls:
            self.operations.control(control)
        if plan.row is not None:
            self.operations.watch(plan.row)
        if self._ledger.series is not None:
            events.schedule(plan.series_period_ns, self._gauge, self._ledger.series)
        if progress is not None:
            step_ns = max(1, plan.trace.duration_ns // PROGRESS_STEPS)
            events.schedule(step_ns, self._tell, (progress, step_ns))
        events.run(plan.end_ns)
        # A cut run lasts until the cut, though nothing may happen shortly before it; a complete one to its last token.
        cut = plan.end_ns is not None and self._alive()
        end_ns = plan.end_ns if cut and plan.end_ns is not None else events.now_ns
        events.now_ns = end_ns
        for replica in self.cluster.replicas:
            replica.settle_account(end_ns)
        series = self._ledger.series
        if series is not None and len(series.gauges) * series.period_ns < end_ns:
            self._measure(series)  # the last row, cut short by the end
        spent = (time.process_time() - cpu_s, time.perf_counter() - wall_s)
        result = harvest(plan, self.cluster, self.operations, end_ns, spent)
        audit(self.cluster, result, complete=plan.end_ns is None)
        return result

    def _alive(self) -> bool:
        return not self.cluster.fed or bool(self.cluster.jobs)

    def _gauge(self, series: Series, sequence: int) -> None:
        self._measure(series)
        # Looking on keeps nothing alive: where nothing else is to come, the audit shall tell who was forgotten.
        if self._alive() and len(self._events):
            self._events.schedule(self._events.now_ns + series.period_ns, self._gauge, series)

    def _measure(self, series: Series) -> None:
        cluster = self.cluster
        running = waiting = 0
        gpus: dict[int, int] = {}
        for replica in cluster.replicas:
            totals = self._ledger.replicas[replica.index]
            if totals.stopped_ns < 0:
                gpus[totals.pool] = gpus.get(totals.pool, 0) + replica.spec.tp
                running += replica.queue.batch_size
                waiting += len(replica.queue.waiting)
        series.gauges.append((running, waiting + len(cluster.lobby), gpus))

    def _tell(self, told: tuple[Callable[[float], None], int], sequence: int) -> None:
        progress, step_ns = told
        duration_ns = self._plan.trace.duration_ns
        progress(min(1.0, self._events.now_ns / max(1, duration_ns)))
        if not self.cluster.fed:
            self._events.schedule(self._events.now_ns + step_ns, self._tell, told)
