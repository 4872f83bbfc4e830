"""A simulated replica: iterations of its batch, one event for each run of iterations that nothing can change.

Theory of operation. Between two iterations the batching policy composes the batch (`_begin`). A batch with prefills runs
one iteration. A batch of decodes alone runs until the first of them is complete, as one event; whoever comes meanwhile
and must join cuts the run at its next iteration boundary (`_cut`). Progress of decodes is not written into each of
them: the queue counts decode iterations, and a decode knows the count at which it is complete.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Protocol

from inference.domain.replica import ReplicaSpec
from inference.domain.request import Phase
from inference.errors import PolicyError
from inference.models.protocols import LatencyModel, PowerModel
from inference.policies.batching.protocol import BatchingPolicy
from inference.policies.batching.queue import DONE, PREFILL, RUNNING, WAITING, BatchQueue, Stage
from inference.sim.events import EventQueue
from inference.sim.ledger import Ledger


class Owner(Protocol):
    """Who is told what a replica has finished."""

    def prefilled(self, replica: int, stage: Stage, now_ns: int) -> None:
        """A request's first token is there; its prefill has left the batch."""
        ...

    def decoded(self, replica: int, stage: Stage, now_ns: int) -> None:
        """A request's last token is there; its decode has left the batch."""
        ...

    def idled(self, replica: int, now_ns: int) -> None:
        """Nothing runs and nothing waits."""
        ...

    def stalled(self, replica: int, now_ns: int) -> None:
        """Nothing runs though something waits: memory is short, for a while or for ever."""
        ...


class Replica:
    """One replica of a cluster.

    Attributes:
        index: in the cluster's columns.
        spec: what it is made of.
        queue: what it has to do.
        latency, power: its models at the clock in force; no power model means that energy is not counted.
        incarnation: how often it has failed.
        serving: whether it runs iterations (not failed, not between two shardings).
        slowdown: factor on its iteration times (a straggler).
    """

    __slots__ = (
        "_batching",
        "_complete",
        "_cut_short",
        "_decode_iterations",
        "_events",
        "_expected",
        "_iterations",
        "_joined",
        "_ledger",
        "_next_latency",
        "_next_power",
        "_next_slowdown",
        "_owner",
        "_prefill_tokens",
        "_run_power_w",
        "_since_ns",
        "incarnation",
        "index",
        "latency",
        "power",
        "queue",
        "serving",
        "slowdown",
        "spec",
    )

    def __init__(
        self,
        index: int,
        spec: ReplicaSpec,
        batching: BatchingPolicy,
        latency: LatencyModel,
        power: PowerModel | None,
        events: EventQueue,
        ledger: Ledger,
        owner: Owner,
    ) -> None:
        self.index = index
        self.spec = spec
        weights = spec.model.weights_bytes
        self.queue = BatchQueue(spec.gpu.memory_bytes * spec.tp, weights)
        self.latency = latency
        self.power = power
        self.incarnation = 0
        self.serving = True
        self.slowdown = 1.0
        self._batching = batching
        self._events = events
        self._ledger = ledger
        self._owner = owner
        self._complete: list[tuple[int, int, Stage]] = []
        self._joined = 0
        self._expected = 0
        self._since_ns = events.now_ns
        self._iterations = 0
        self._decode_iterations = 0
        self._prefill_tokens = 0
        self._cut_short = False
        self._run_power_w = 0.0 if power is None else power.idle_w
        self._next_latency = latency
        self._next_power = power
        self._next_slowdown = 1.0

    @property
    def busy(self) -> bool:
        """Whether an iteration runs."""
        return self._iterations > 0

    @property
    def power_w(self) -> float:
        """Power of its GPUs now."""
        return self._run_power_w

    @property
    def energy_j(self) -> float:
        """Energy of its GPUs up to now, the run at hand included."""
        span_ns = self._events.now_ns - self._since_ns
        return self._ledger.replicas[self.index].energy_j + self._run_power_w * span_ns * 1e-9

    def arrive(self, stage: Stage, now_ns: int) -> None:
        """A stage comes to wait here, and starts or cuts a run of iterations if the policy wants it."""
        queue = self.queue
        queue.enter(stage)
        if self._iterations:
            if self._can_be_cut and self._batching.interrupts(queue, stage):
                self._cut(now_ns)
        elif self.serving:
            if stage.kv_bytes <= queue.kv_capacity_bytes - queue.kv_used_bytes:
                self._begin(now_ns)
            elif stage.phase is Phase.DECODE:
                self._owner.stalled(self.index, now_ns)

    def release(self, kv_bytes: int, now_ns: int) -> None:
        """KV memory of a request that has gone elsewhere is free again."""
        self.queue.kv_used_bytes -= kv_bytes
        self.look(now_ns)

    def look(self, now_ns: int) -> None:
        """Something may fit that did not: begin, or let the run at hand end soon."""
        queue = self.queue
        if not queue.waiting:
            return
        if self._iterations:
            if self._can_be_cut and self._batching.resumes(queue):
                self._cut(now_ns)
        elif self.serving:
            first = queue.waiting[0]
            if first.kv_bytes <= queue.kv_capacity_bytes - queue.kv_used_bytes:
                self._begin(now_ns)
            else:
                self._owner.stalled(self.index, now_ns)

    def wake(self) -> None:
        """Handler of a look at this very time."""
        if self.serving:
            self.look(self._events.now_ns)

    def retune(self, latency: LatencyModel, power: PowerModel | None, now_ns: int) -> None:
        """Run at another clock from the next iteration boundary; at once where nothing runs."""
        self._next_latency = latency
        self._next_power = power
        if not self._iterations:
            self._account(now_ns)
            self._adopt()
        elif self._can_be_cut:
            self._cut(now_ns)

    def drag(self, factor: float) -> None:
        """Iterations take `factor` times their time from the next iteration boundary on."""
        self._next_slowdown = factor
        if self._iterations and self._can_be_cut:
            self._cut(self._events.now_ns)

    def halt(self, now_ns: int) -> None:
        """Stop at once: the iteration at hand is lost, what earlier ones of the run decoded is kept."""
        if self._iterations:
            queue, done = self.queue, 0
            if not queue.prefilling:
                done = min(self._begun(now_ns) - 1, self._iterations)
            self.settle_account(now_ns)
            self._iterations = 0
            self._expected = 0
            self._progress(done)
        self.serving = False
        self._account(now_ns)
        self._idle_power()

    def reset(self, now_ns: int) -> None:
        """Forget everything: the machine has failed. Whoever held stages here must take care of their requests."""
        self.halt(now_ns)
        self.incarnation += 1
        self.queue = BatchQueue(self.queue.kv_capacity_bytes, self.spec.model.weights_bytes)
        self._complete.clear()

    def retire(self, now_ns: int) -> None:
        """Give the GPUs back: no power from now on."""
        self.halt(now_ns)
        self.power = self._next_power = None
        self._run_power_w = 0.0

    def resume(self, now_ns: int) -> None:
        """Serve again after `halt` or `reset`."""
        self._account(now_ns)
        self.serving = True
        if self.queue.waiting or self.queue.decoding:
            self._begin(now_ns)

    def expel(self, stage: Stage) -> None:
        """Take a running decode out of the batch of a halted replica."""
        self._settle((stage,))

    def settle_account(self, now_ns: int) -> None:
        """Book power and time up to now, where the run of iterations at hand will not go on."""
        if self._iterations and not self.queue.prefilling:
            # Iterations that began before now; at a boundary the next one is not among them.
            self._iterations = min(self._begun(now_ns - 1), self._iterations)
        self._account(now_ns)

    def _begun(self, now_ns: int) -> int:
        """How many iterations of the run of decodes at hand have begun by a time."""
        if now_ns < self._since_ns:
            return 0
        elapsed, queue = int((now_ns - self._since_ns) / self.slowdown), self.queue
        return self.latency.decodes_begun(len(queue.decoding), queue.context_tokens, elapsed)

    @property
    def _can_be_cut(self) -> bool:
        """Whether the run at hand is one of decodes that nobody has cut yet."""
        return not self._cut_short and not self.queue.prefilling

    # --- the run of iterations ------------------------------------------------------------------

    def _begin(self, now_ns: int) -> None:
        """Compose the next batch and schedule its end."""
        if self._next_latency is not self.latency or self._next_power is not self.power:
            self._adopt()
        self.slowdown = self._next_slowdown
        queue = self.queue
        joining: list[Stage] = []
        paused = False
        if queue.waiting or queue.prefilling:
            joining, leaving, paused = self._batching.select(queue)
            if leaving:
                self._settle(leaving)
            if joining:
                self._join(joining, now_ns)
        if now_ns > self._since_ns:
            self._account(now_ns)
        prefilling, batch = queue.prefilling, len(queue.decoding)
        if not prefilling and not batch:
            self._idle_power()
            if not queue.waiting:
                self._owner.idled(self.index, now_ns)
            elif len(queue.waiting) > len(queue.prefills):
                self._owner.stalled(self.index, now_ns)
            return
        self._schedule(now_ns, 0 if paused and prefilling else batch)

    def _schedule(self, now_ns: int, batch: int) -> None:
        queue, latency, power = self.queue, self.latency, self.power
        self._cut_short = False
        if queue.prefilling:
            tokens = pairs = 0
            for stage in queue.prefilling:
                tokens += stage.step_tokens
                if stage.context_tokens:
                    pairs += stage.step_tokens * stage.context_tokens
            # The mean over tokens: each attends to what is cached of its own prompt, not of others.
            cached = pairs // tokens
            self._iterations = 1
            self._prefill_tokens = tokens
            queue.batch_tokens = tokens + batch
            context = queue.context_tokens
            if batch:
                duration = latency.mixed_ns(tokens, cached, batch, context)
            else:
                duration = latency.prefill_ns(tokens, cached)
            self._decode_iterations = 1 if batch else 0
            if power is not None:
                self._run_power_w = (
                    power.mixed_w(tokens, batch, context) if batch else power.prefill_w(tokens)
                )
        else:
            complete = self._complete
            while complete[0][2].order != complete[0][1]:
                heappop(complete)
            count = complete[0][0] - queue.decoded
            self._iterations = self._decode_iterations = count
            self._prefill_tokens = 0
            queue.batch_tokens = batch
            duration = latency.decode_ns(batch, queue.context_tokens, count)
            if power is not None:
                self._run_power_w = power.decode_w(batch, queue.context_tokens)
        self._end_at(now_ns + self._slowed(duration))

    def _cut(self, now_ns: int) -> None:
        """End the run of decodes at its next iteration boundary."""
        self._cut_short = True
        count, queue = self._begun(now_ns), self.queue
        if count >= self._iterations:
            return
        self._iterations = self._decode_iterations = count
        duration = self.latency.decode_ns(len(queue.decoding), queue.context_tokens, count)
        self._end_at(max(self._since_ns + self._slowed(duration), now_ns))

    def _slowed(self, duration_ns: int) -> int:
        """An iteration's time on a straggler."""
        return duration_ns if self.slowdown == 1.0 else round(duration_ns * self.slowdown)

    def _end_at(self, end_ns: int) -> None:
        """Schedule the end of the run at hand, in the place of any that was."""
        self._expected = self._events.schedule(end_ns, Replica._end, self)

    def _end(self, sequence: int) -> None:
        """Handler of the event at a run's end: hand on what is complete, then begin the next."""
        if sequence != self._expected:
            return  # a cut has put another in its place
        now_ns = self._events.now_ns
        self._account(now_ns)
        self._iterations = 0
        queue, complete = self.queue, self._complete
        if self._decode_iterations:
            self._progress(self._decode_iterations)
        while complete and complete[0][0] <= queue.decoded:
            _, order, stage = heappop(complete)
            if stage.order == order:
                self._settle((stage,))
                stage.state = DONE
                self._owner.decoded(self.index, stage, now_ns)
        if queue.prefilling:
            self._end_prefills(now_ns)
        if self.serving:
            self._begin(now_ns)

    def _end_prefills(self, now_ns: int) -> None:
        prefilling = self.queue.prefilling
        self.queue.prefilling = []
        for stage in prefilling:
            stage.tokens -= stage.step_tokens
            stage.context_tokens += stage.step_tokens
            if stage.tokens:
                self.queue.prefilling.append(stage)
                continue
            stage.state = DONE
            self._owner.prefilled(self.index, stage, now_ns)

    def _progress(self, iterations: int) -> None:
        queue = self.queue
        queue.decoded += iterations
        queue.context_tokens += iterations * len(queue.decoding)

    def _join(self, joining: list[Stage], now_ns: int) -> None:
        queue, ledger = self.queue, self._ledger
        mark_j = ledger.decode_energy_j(self.index)
        for stage in joining:
            if stage.state is WAITING:
                queue.kv_used_bytes += stage.kv_bytes
                ledger.starts(stage, now_ns)
            if stage.phase is PREFILL:
                queue.prefilling.append(stage)
            else:
                self._joined += 1
                stage.order = self._joined
                stage.finish_at = queue.decoded + stage.left
                stage.energy_mark = mark_j
                queue.context_tokens += stage.context_tokens
                queue.decoding[stage] = None
                heappush(self._complete, (stage.finish_at, stage.order, stage))
            stage.state = RUNNING
        if queue.kv_used_bytes > queue.kv_capacity_bytes:
            raise PolicyError(
                f"batching: replica {self.index} was given more requests than its KV memory holds: "
                f"{queue.kv_used_bytes} of {queue.kv_capacity_bytes} bytes"
            )

    def _settle(self, stages: Sequence[Stage]) -> None:
        """Decodes leave the batch: write their progress into them."""
        queue = self.queue
        for stage in stages:
            del queue.decoding[stage]
            left = stage.finish_at - queue.decoded
            stage.context_tokens += stage.left - left
            stage.left = left
            stage.order = 0
            queue.context_tokens -= stage.context_tokens
        self._ledger.decodes_settle(self.index, stages)

    # --- time and energy ------------------------------------------------------------------------

    def _account(self, now_ns: int) -> None:
        """Book the time since the last booking as what the replica did then."""
        if now_ns > self._since_ns or self._iterations:
            self._ledger.book(
                self.index,
                self._since_ns,
                now_ns,
                self._run_power_w,
                self._prefill_tokens,
                self.queue,
                self._iterations,
            )
            self._since_ns = now_ns

    def _idle_power(self) -> None:
        self._run_power_w = 0.0 if self.power is None else self.power.idle_w
        self._prefill_tokens = 0

    def _adopt(self) -> None:
        self.latency = self._next_latency
        self.power = self._next_power
        if not self._iterations:
            self._idle_power()
