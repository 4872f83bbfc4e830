"""The cluster driver: arrivals to the routing policy, stages to replicas, KV caches between them, completions out.

It carries out what policies decide and keeps the columns that they read. Scaling, clocks and failures are in
`operations`; this file holds the life of a request.
"""

from collections.abc import Callable, Iterator

from inference.domain.action import Refuse
from inference.domain.reckoning import Pledge
from inference.domain.replica import ReplicaSpec
from inference.errors import InferenceError, PolicyError
from inference.policies.batching.queue import DECODE, PREFILL, Stage
from inference.results.run import Status
from inference.sim import rescue
from inference.sim.arrivals import jobs_of
from inference.sim.columns import Columns
from inference.sim.events import EventQueue
from inference.sim.handover import Handover
from inference.sim.holdings import give_back
from inference.sim.job import DECODING, HELD, OVER, PREFILLING, Job
from inference.sim.ledger import NEVER, Ledger
from inference.sim.lobby import Lobby
from inference.sim.mechanisms import Mechanisms
from inference.sim.replica import Replica
from inference.traces.trace import Trace

COMPLETED = Status.COMPLETED


class Cluster:
    """Replicas of one or many models under one routing policy.

    Attributes:
        events: the simulation's heap.
        ledger: what is recorded.
        replicas: by index; they stay after they stopped.
        columns: what policies see.
        jobs: requests in flight, by id.
        lobby: requests that the policy holds.
        evicted: caches given up for want of memory.
        fed: whether every request of the trace has arrived.
        lost: failures at hand by replica.
        stopping: replicas that take no more requests, for good; of these, `draining` still hold some or their caches.
        on_idle: told of a replica that may have nothing left to do.
    """

    def __init__(self, mechanisms: Mechanisms, events: EventQueue, ledger: Ledger) -> None:
        self.events = events
        self.ledger = ledger
        self.replicas: list[Replica] = []
        self.columns = Columns(self.replicas)
        self.jobs: dict[int, Job] = {}
        self.lobby = Lobby(events, self._dispatch, lambda: mechanisms.routing.retry_ns)
        self.evicted = 0
        self.fed = False
        self.lost: dict[int, int] = {}
        self.stopping: set[int] = set()
        self.draining: set[int] = set()
        self.mechanisms = mechanisms
        self._routing = mechanisms.routing
        self.transfers = mechanisms.transfers(events, self.replicas)
        self._handover = Handover(self)
        self.on_idle: Callable[[int], None] | None = None

    def add(self, spec: ReplicaSpec, accepting: bool = True) -> Replica:
        """Bring a replica into the columns; the caller tells the policy (`routing.changed`) when it is done adding."""
        if spec.model.weights_bytes >= spec.gpu.memory_bytes * spec.tp:
            raise InferenceError(
                f"{spec.model.name} does not fit {spec.tp} x {spec.gpu.name}: its weights are "
                f"{spec.model.weights_bytes} bytes of {spec.gpu.memory_bytes * spec.tp}"
            )
        made = self.mechanisms
        clock_mhz = spec.clock_mhz or spec.gpu.clock_mhz_max
        power = None if made.power is None else made.power(spec).at_clock(clock_mhz)
        latency = made.latency(spec).at_clock(clock_mhz)
        index = len(self.replicas)
        self.ledger.open(spec.pool, self.events.now_ns)
        batching = made.batching(spec)
        replica = Replica(index, spec, batching, latency, power, self.events, self.ledger, self)
        self.replicas.append(replica)
        self.columns.add(replica, clock_mhz, accepting)
        return replica

    def rerouted(self) -> None:
        """Replicas came, went or changed: tell the policy, and offer held requests again."""
        self._routing.changed(self.columns, self.events.now_ns)
        self.lobby.offer_soon()

    # --- arrivals and routing -------------------------------------------------------------------

    def feed(self, trace: Trace) -> None:
        """Queue a trace's arrivals, one event ahead of time."""
        self._next_arrival(jobs_of(trace, self.mechanisms), 0)

    def _next_arrival(self, rows: Iterator[Job], sequence: int) -> None:
        job = next(rows, None)
        if job is None:
            self.fed = True
            return
        self.events.schedule(job.request[1], self._arrive, (job, rows))

    def _arrive(self, arrival: tuple[Job, Iterator[Job]], sequence: int) -> None:
        job, rows = arrival
        self._next_arrival(rows, 0)
        self.jobs[job.request[0]] = job
        self.lobby.enter(job)

    def _dispatch(self, job: Job) -> bool:
        """Ask the policy and act on its answer; False where it holds the request."""
        now_ns = self.events.now_ns
        route = self._routing.route(job.request, self.columns, now_ns)
        if route is None:
            return False
        if isinstance(route, Refuse):
            self.close(job, Status.REFUSED)
            return True
        self.place(job, route[0], route[1])
        return True

    def place(self, job: Job, prefill: int, decode: int) -> None:
        """Send a request's prefill to one replica and promise its decode to another, or the same."""
        columns, request = self.columns, job.request
        prompt_tokens = request[2]
        source, target = self.replicas[prefill], self.replicas[decode]
        each = columns.kv_bytes_per_token[decode]
        prompt_bytes = (prompt_tokens + 1) * each
        job.output_bytes = (job.output_tokens - 1) * each
        # Policies see what they were told of the output; the machine takes what it comes to.
        told_bytes = (request[3] - 1) * each
        job.pledge = Pledge(prefill, decode, prompt_tokens, request[3], prompt_bytes, told_bytes)
        job.incarnations = (source.incarnation, target.incarnation)
        self._check(job, target, prompt_bytes + job.output_bytes)
        if source is not target:
            self._check(job, source, prompt_bytes)
        job.step = PREFILLING
        columns.reckoning.routed(job.pledge)
        row = request[0]
        self.ledger.prefill_replica[row], self.ledger.decode_replica[row] = prefill, decode
        self.ledger.class_id[row] = request[6]
        now_ns = self.events.now_ns
        stage = Stage(job, PREFILL, request[1], prompt_tokens, 0, 0, prompt_bytes, True)
        job.prefill = stage
        if prefill == decode:
            stage.reserve_bytes = job.output_bytes
        source.arrive(stage, now_ns)
        if prefill == decode and job.output_tokens > 1:
            job.decode = self.decode_stage(job, ready=False)
            source.arrive(job.decode, now_ns)

    def _check(self, job: Job, replica: Replica, kv_bytes: int) -> None:
        """Refuse a route that cannot be: policies are checked here, once, for simulated and for canary ones alike."""
        spec, request = replica.spec, job.request
        if not self.columns.accepting[replica.index]:
            raise PolicyError(
                f"routing: replica {replica.index} was chosen, but takes no requests now"
            )
        if spec.model_id != request.model:
            raise PolicyError(
                f"routing: replica {replica.index} was chosen for a request of model "
                f"{request.model}, but serves model {spec.model_id}"
            )
        need = kv_bytes + spec.model.weights_bytes
        if need > replica.queue.kv_capacity_bytes:
            raise PolicyError(
                f"routing: request {request.request_id} ({request.prompt_tokens} + {job.output_tokens} "
                f"tokens) can never fit replica {replica.index}: it needs {need} bytes with the weights, of "
                f"{replica.queue.kv_capacity_bytes}; refuse it, or give the replica more GPUs"
            )

    def decode_stage(self, job: Job, ready: bool) -> Stage:
        """The decode of a job, to wait where its cache is."""
        request = job.request
        return Stage(
            job,
            DECODE,
            request[1],
            1,
            job.output_tokens - 1,
            request[2] + 1,
            job.output_bytes,
            ready,
        )

    # --- what replicas report -------------------------------------------------------------------

    def prefilled(self, replica: int, stage: Stage, now_ns: int) -> None:
        """First token: on to the decode, where the cache is or behind it."""
        job: Job = stage.job
        row, prompt_tokens = job.request[0], job.request[2]
        self.columns.reckoning.prefilled(job.pledge)
        self.ledger.first_token_ns[row] = now_ns
        self.ledger.replicas[replica].prompt_tokens += prompt_tokens
        if job.output_tokens == 1:
            self._complete(job, replica, now_ns)
        elif job.decode is not None:
            job.step = DECODING
            job.decode.ready = True
        else:
            self._handover.begin(job)

    def decoded(self, replica: int, stage: Stage, now_ns: int) -> None:
        """Last token."""
        self._complete(stage.job, replica, now_ns)

    def idled(self, replica: int, now_ns: int) -> None:
        """Nothing left at a replica."""
        self._routing.idle(replica, self.columns, now_ns)
        if self.on_idle is not None:
            self.on_idle(replica)

    def stalled(self, replica: int, now_ns: int) -> None:
        """Something waits at an idle replica: see, after what is going on, whether it would wait for ever."""
        self.events.schedule(now_ns, self._rescue, self.replicas[replica])

    def _rescue(self, replica: Replica, sequence: int) -> None:
        rescue.rescue(self, replica)

    def evict(self, job: Job) -> None:
        """A cache is given up for want of memory, and its request begins anew."""
        self.evicted += 1
        self.restart(job)

    def _complete(self, job: Job, replica: int, now_ns: int) -> None:
        reckoning = self.columns.reckoning
        self.replicas[replica].queue.kv_used_bytes -= job.kv_bytes
        if job.output_tokens == 1:
            reckoning.moved(job.pledge)
        if self.replicas[job.decode_replica].incarnation == job.incarnations[1]:
            reckoning.completed(job.pledge)  # else it failed, and has forgotten this single token
        self.ledger.completion_ns[job.request[0]] = now_ns
        self.ledger.replicas[replica].output_tokens += job.output_tokens
        self.close(job, COMPLETED)

    def close(self, job: Job, status: Status) -> None:
        """A request is over; whoever is held is offered again."""
        job.step = OVER
        job.prefill = job.decode = None  # the stages know the job: leave no cycle for the collector
        row = job.request[0]
        self.ledger.status[row] = status
        del self.jobs[row]
        if self.fed and not self.jobs:
            self.events.clear()  # only periodic calls are left, and there is nothing more to tell them
        else:
            self.lobby.offer_soon()
        if self.draining:
            self.check_drains()

    def check_drains(self) -> None:
        """A request has left some replica, which may be what a stopping one waits for."""
        if self.on_idle is not None:
            for index in sorted(self.draining):
                self.on_idle(index)

    # --- requests that begin anew ---------------------------------------------------------------

    def restart(self, job: Job) -> None:
        """Give back what a request holds at replicas that live, and route it again from scratch (Splitwise, section 4.4).

        Its stages have left their queues already, or went with a replica that failed. The first token of the attempt
        that completes counts.
        """
        give_back(job, self.replicas, self.columns, self.events)
        row = job.request[0]
        self.ledger.restarts[row] += 1
        for times in (
            self.ledger.prefill_start_ns,
            self.ledger.first_token_ns,
            self.ledger.decode_start_ns,
        ):
            times[row] = NEVER
        self.ledger.transfer_ns[row] = 0
        self.hold(job)
        if self.draining:
            self.check_drains()

    def hold(self, job: Job) -> None:
        """Back to the router, to be offered at this very time."""
        job.step = HELD
        job.attempt += 1
        job.prefill = job.decode = None
        job.kv_bytes = 0
        self.lobby.reenter(job)

    def check_progress(self) -> None:
        """Periodic calls keep a simulation going: make sure that there is more to it than them."""
        oldest = next(iter(self.jobs.values()), None)
        if oldest is not None and not any(replica.busy for replica in self.replicas):
            self.lobby.check_patience(oldest)
