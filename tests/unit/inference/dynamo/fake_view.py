"""A `ClusterView` whose columns a test writes."""

from collections.abc import Sequence

from inference.domain.action import Action, Reshard, SetClock, StartReplica, StopReplica
from inference.domain.replica import ReplicaSpec
from inference.domain.view import Resident


class FakeView:
    def __init__(self) -> None:
        self.accepting: list[bool] = []
        self.role: list[int] = []
        self.pool: list[int] = []
        self.model_id: list[int] = []
        self.tp: list[int] = []
        self.clock_mhz: list[int] = []
        self.pending_tokens: list[int] = []
        self.kv_committed_bytes: list[int] = []
        self.kv_capacity_bytes: list[int] = []
        self.kv_bytes_per_token: list[int] = []
        self.waiting_requests: list[int] = []
        self.running_requests: list[int] = []
        self.prompt_tokens_total: list[int] = []
        self.output_tokens_total: list[int] = []
        self.energy_j: list[float] = []
        self.held: dict[int, list[Resident]] = {}

    def add(self, pool: int, tp: int, clock_mhz: int = 1980) -> int:
        self.accepting.append(True)
        self.pool.append(pool)
        self.tp.append(tp)
        self.clock_mhz.append(clock_mhz)
        self.pending_tokens.append(0)
        self.waiting_requests.append(0)
        self.running_requests.append(0)
        return len(self.accepting) - 1

    def add_specs(self, specs: Sequence[ReplicaSpec]) -> None:
        for spec in specs:
            self.add(spec.pool, spec.tp, spec.clock_mhz or 1980)

    def apply(self, actions: Sequence[Action]) -> None:
        """What the simulator does once all delays have passed."""
        for action in actions:
            match action:
                case StartReplica():
                    self.add_specs([action.spec])
                case StopReplica():
                    self.accepting[action.replica] = False
                case Reshard():
                    for replica in action.replicas:
                        self.accepting[replica] = False
                    self.add_specs(action.specs)
                case SetClock():
                    self.clock_mhz[action.replica] = action.clock_mhz

    def residents(self, replica: int) -> Sequence[Resident]:
        return self.held.get(replica, [])

    def power_w(self, replica: int) -> float:
        return 0.0
