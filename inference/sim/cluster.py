"""The cluster driver: arrivals to the routing policy, stages to replicas, KV caches between them, completions out.

It carries out what policies decide and keeps the columns that they read. Scaling, clocks and failures are in
`operations`; this file holds the life of a request.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inference.domain.action import Refuse
from inference.domain.reckoning import Pledge
from inference.domain.replica import ReplicaSpec
from inference.domain.request import Priority, Request
from inference.errors import InferenceError, PolicyError
from inference.models.protocols import LatencyModel, PowerModel
from inference.policies.batching.protocol import BatchingPolicy
from inference.policies.batching.queue import DECODE, PREFILL, Stage
from inference.policies.protocols import LengthPredictor, RoutingPolicy
from inference.results.run import Status
from inference.sim import rescue
from inference.sim.columns import Columns
from inference.sim.events import EventQueue
from inference.sim.holdings import give_back
from inference.sim.job import DECODING, HELD, MOVING, OVER, PREFILLING, SENDING, Job
from inference.sim.ledger import NEVER, Ledger
from inference.sim.replica import Replica
from inference.sim.transfers import Transfers
from inference.traces.trace import Trace

ARRIVALS_AT_ONCE = 65_536
"""Rows of the trace that are turned into Python numbers at a time: bounds memory for traces of millions."""

PRIORITIES = tuple(Priority)
COMPLETED = Status.COMPLETED

HELD_NS_MAX = 24 * 3600 * 10**9
"""Longest time that a policy may hold a request at the router."""


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """What a cluster is driven with.

    Attributes:
        routing: which replica serves a request.
        batching: makes the batching policy of a replica.
        latency, power: make the models of a replica at its clock; no power model means that energy is not counted.
        transfers: makes the carrier of KV caches between these replicas (the list grows).
        predictor: what policies are told of a request's output; None tells them the truth.
        classify: the class of a request by its prompt and predicted output; None where policies know no classes.
    """

    routing: RoutingPolicy
    batching: Callable[[ReplicaSpec], BatchingPolicy]
    latency: Callable[[ReplicaSpec], LatencyModel]
    power: Callable[[ReplicaSpec], PowerModel] | None
    transfers: Callable[[EventQueue, list[Replica]], Transfers]
    predictor: LengthPredictor | None = None
    classify: Callable[[int, int], int] | None = None


class Cluster:
    """Replicas of one or many models under one routing policy.

    Attributes:
        events: the simulation's heap.
        ledger: what is recorded.
        replicas: by index; they stay after they stopped.
        columns: what policies see.
        jobs: requests in flight, by id.
        held: requests that the policy holds, in order.
        finished: requests completed, refused or squashed.
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
        self.held: deque[Job] = deque()
        self.finished = 0
        self.evicted = 0
        self.fed = False
        self.lost: dict[int, int] = {}
        self.stopping: set[int] = set()
        self.draining: set[int] = set()
        self.mechanisms = mechanisms
        self._routing = mechanisms.routing
        self.transfers = mechanisms.transfers(events, self.replicas)
        self._offer_expected = 0
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
        if self.held:
            self.offer_soon()

    # --- arrivals and routing -------------------------------------------------------------------

    def feed(self, trace: Trace) -> None:
        """Queue a trace's arrivals, one event ahead of time."""
        self._next_arrival(_rows(trace, self.mechanisms), 0)

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
        if self.held:
            self.held.append(job)  # the next offer is due already: arrivals do not put it off
        elif not self._dispatch(job):
            self.held.append(job)
            self._offer_later()

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
            job.decode = self._decode_stage(job, ready=False)
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

    def _decode_stage(self, job: Job, ready: bool) -> Stage:
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
            job.step = SENDING
            self._send((job, job.attempt), 0)

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
        self.finished += 1
        if self.fed and not self.jobs:
            self.events.clear()  # only periodic calls are left, and there is nothing more to tell them
        elif self.held:
            self.offer_soon()
        if self.draining:
            self.check_drains()

    def check_drains(self) -> None:
        """A request has left some replica, which may be what a stopping one waits for."""
        if self.on_idle is not None:
            for index in sorted(self.draining):
                self.on_idle(index)

    # --- KV transfers ---------------------------------------------------------------------------

    def _send(self, sent: tuple[Job, int], sequence: int) -> None:
        """Move a cache once its target has memory for it."""
        job, attempt = sent
        if job.attempt != attempt or job.step is not SENDING or not self._both_live(job):
            return
        queue = self.replicas[job.decode_replica].queue
        full = queue.kv_used_bytes + job.kv_bytes > queue.kv_capacity_bytes
        if full and not rescue.make_room(self, job):
            later_ns = self.events.now_ns + self.transfers.retry_ns
            self.events.schedule(later_ns, self._send, sent)
            return
        queue.kv_used_bytes += job.kv_bytes
        job.step = MOVING
        row, ledger = job.request[0], self.ledger
        prefill_ns = ledger.first_token_ns[row] - ledger.prefill_start_ns[row]
        kv_bytes = job.request[2] * self.columns.kv_bytes_per_token[job.decode_replica]
        self.transfers.begin(job, kv_bytes, prefill_ns, self._arrived)

    def _arrived(self, job: Job, attempt: int) -> None:
        """The cache is there: free it at its source and decode."""
        if job.attempt != attempt or job.step is not MOVING or not self._both_live(job):
            return
        job.step = DECODING
        now_ns, row = self.events.now_ns, job.request[0]
        self.ledger.transfer_ns[row] = now_ns - self.ledger.first_token_ns[row]
        source, held = job.prefill_replica, job.kv_bytes
        self.columns.reckoning.moved(job.pledge)
        # The target takes the stage before the source looks for work: splitwise-sim's order, which ties depend on.
        job.decode = self._decode_stage(job, ready=True)
        self.replicas[job.decode_replica].arrive(job.decode, now_ns)
        self.replicas[source].release(held, now_ns)
        if self.draining:
            self.check_drains()

    def _both_live(self, job: Job) -> bool:
        """Whether neither replica has failed since the request was routed; if one has, the request begins anew."""
        source, target = self.replicas[job.prefill_replica], self.replicas[job.decode_replica]
        if (source.incarnation, target.incarnation) == job.incarnations:
            return True
        self.restart(job)
        return False

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
        self.held.append(job)
        self.offer_soon()

    # --- held requests --------------------------------------------------------------------------

    def offer_soon(self) -> None:
        """Offer held requests at this very time, after what is going on."""
        self._offer_expected = self.events.schedule(self.events.now_ns, self._offer, None)

    def _offer_later(self) -> None:
        if self._routing.retry_ns:
            due_ns = self.events.now_ns + self._routing.retry_ns
            self._offer_expected = self.events.schedule(due_ns, self._offer, None)

    def check_progress(self) -> None:
        """Periodic calls keep a simulation going: make sure that there is more to it than them."""
        oldest = next(iter(self.jobs.values()), None)
        if oldest is not None and not any(replica.busy for replica in self.replicas):
            self._check_patience(oldest)

    def _check_patience(self, job: Job) -> None:
        """A policy that holds for ever would keep the simulation going for ever."""
        held_ns = self.events.now_ns - job.request.arrival_ns
        if held_ns > HELD_NS_MAX:
            raise PolicyError(
                f"routing: request {job.request.request_id} has been held, or has waited for an idle replica, for "
                f"{held_ns // 10**9} s; refuse what cannot be served"
            )

    def _offer(self, nothing: None, sequence: int) -> None:
        if sequence != self._offer_expected:
            return
        while self.held:
            if not self._dispatch(self.held[0]):
                self._check_patience(self.held[0])
                self._offer_later()
                return
            self.held.popleft()


def _rows(trace: Trace, mechanisms: Mechanisms) -> Iterator[Job]:
    """Jobs in order of arrival, from slices of the trace's columns."""
    predict = None if mechanisms.predictor is None else mechanisms.predictor.predict
    classify = mechanisms.classify
    for first in range(0, len(trace), ARRIVALS_AT_ONCE):
        part = slice(first, first + ARRIVALS_AT_ONCE)
        columns = (trace.arrival_ns, trace.prompt_tokens, trace.output_tokens)
        numbers = [column[part].tolist() for column in (*columns, trace.model, trace.priority)]
        for row, (arrival, prompt, output, model, priority) in enumerate(
            zip(*numbers, strict=True), first
        ):
            told = output if predict is None else predict(row, prompt, output)
            class_id = -1 if classify is None else classify(prompt, told)
            request = Request(row, arrival, prompt, told, model, PRIORITIES[priority], class_id)
            yield Job(request, output)
