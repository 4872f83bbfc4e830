"""The same controller inside the request-level cluster: BLOOM-176B on eight DGX-A100 behind one limit."""

import numpy as np
import pytest

from inference.domain.replica import ReplicaSpec
from inference.domain.request import Priority
from inference.models.catalog import GPUS, MODELS
from inference.models.latency import latency_model
from inference.models.power import power_model
from inference.policies.batching.continuous import ContinuousBatching
from inference.policies.power.control_table import SECOND_NS
from inference.policies.power.controller import RowController
from inference.policies.power.no_cap import no_cap
from inference.policies.power.polca import polca
from inference.policies.routing.token_jsq import TokenJsq
from inference.sim.mechanisms import Mechanisms
from inference.sim.operations import Row
from inference.sim.simulation import Plan, Simulation
from inference.sim.transfers import PrivateTransfers
from inference.traces.trace import trace_of

GPU, MODEL, TP = GPUS["a100-80gb"], MODELS["bloom-176b"], 8
PRIORITIES = (Priority.LOW, Priority.HIGH) * 4
REQUESTS = 700


def simulated(policy: RowController | None) -> Simulation:
    rng = np.random.default_rng(7)
    arrivals = np.cumsum(rng.exponential(SECOND_NS / 2.0, REQUESTS)).astype(np.int64)
    trace = trace_of("steady", arrivals, np.full(REQUESTS, 1500), np.full(REQUESTS, 200))
    latency, power = latency_model(MODEL, GPU, TP, "context"), power_model(MODEL, GPU, TP)
    mechanisms = Mechanisms(
        TokenJsq(),
        lambda spec: ContinuousBatching(64, 2048),
        lambda spec: latency,
        lambda spec: power,
        lambda events, replicas: PrivateTransfers(events, 1e9),
    )
    row = None if policy is None else Row(policy, 0.0, 2 * SECOND_NS)
    spec = ReplicaSpec(GPU, MODEL, TP)
    return Simulation(Plan("row", 7, trace, [spec] * len(PRIORITIES), mechanisms, row=row))


def mean_power_w(energy_j: np.ndarray, end_ns: int) -> float:
    return float(energy_j.sum() / (end_ns / SECOND_NS))


@pytest.fixture(scope="module")
def free_power_w() -> float:
    result = simulated(None).run()
    return mean_power_w(result.replicas.energy_j, result.end_ns)


def test_polca_caps_the_cluster_and_lowers_its_power(free_power_w: float) -> None:
    policy = polca(free_power_w / 0.95, PRIORITIES)
    simulation = simulated(policy)
    result = simulation.run()
    assert simulation.operations.applied["SetCap"] >= 4
    assert mean_power_w(result.replicas.energy_j, result.end_ns) < free_power_w
    low = result.replicas.energy_j[::2].mean()
    high = result.replicas.energy_j[1::2].mean()
    assert low < high, "low priority gives first"


def test_the_brake_brings_the_cluster_down_and_lets_go(free_power_w: float) -> None:
    policy = no_cap(free_power_w / 1.05, PRIORITIES)
    simulation = simulated(policy)
    simulation.run()
    assert policy.brakes > 0
    assert simulation.operations.applied["SetBrake"] >= len(PRIORITIES)
    samples = np.array([watts for _, watts in simulation.operations.row_power_w])
    assert samples.min() < 0.7 * free_power_w
