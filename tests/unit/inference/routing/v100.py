"""The router paper's set-up, modelled: Llama2-7B on single V100s, prefill at its 0.32 ms a token, decodes from 20 ms up."""

from inference.domain.replica import Gpu, Model, ReplicaSpec, Role
from inference.models.clock import ClockLaw
from inference.models.context_latency import ContextLatency
from inference.models.context_profile import ContextProfile
from inference.models.provenance import Origin, Provenance
from inference.policies.batching.continuous import MixedBatching
from inference.policies.protocols import RoutingPolicy
from inference.results.run import RunResult
from inference.sim.faults import MachineLoss
from inference.sim.mechanisms import Mechanisms
from inference.sim.simulation import Plan, Simulation
from inference.sim.transfers import PrivateTransfers
from inference.traces.services import Service
from inference.traces.trace import Trace

V100 = Gpu("v100-32gb", 32 * 10**9, 9e11, 14.0, 300.0, 1e9, 1500, 500, 1.0)
LLAMA2_7B = Model("llama2-7b", 32, 4096, 32, 32, 128, weights_bytes=13 * 10**9)
PROFILE = ContextProfile(
    name="v100",
    provenance=Provenance(Origin.MODELLED, "tests", "V100", "", "Intelligent Router, section 4"),
    base_ns=15e6,
    per_request_ns=1.5e5,
    context_ns=1.5e3,
    lone_context_ns=0.0,
    prefill_tokens=(1, 64, 8192),
    prefill_ns=(20e6, 20.5e6, 8192 * 3.2e5),
    cached_ns=0.0,
    pair_ns=0.0,
    tokens_min=1,
    tokens_max=8192,
    batch_max=512,
    context_max=10**6,
    prefill_mape_percent=None,
    decode_mape_percent=None,
)
# Light and heavy as the paper classifies: 0.5 s of prefill, 5 s of decode.
LIGHT_PROMPT, HEAVY_PROMPT = (20, 500), (1600, 2400)
LIGHT_OUTPUT, HEAVY_OUTPUT = (10, 200), (250, 1000)
LL = Service("LL", 0.25, LIGHT_PROMPT, LIGHT_OUTPUT)
LH = Service("LH", 0.25, LIGHT_PROMPT, HEAVY_OUTPUT)
HL = Service("HL", 0.25, HEAVY_PROMPT, LIGHT_OUTPUT)
HH = Service("HH", 0.25, HEAVY_PROMPT, HEAVY_OUTPUT)


def replicas(*roles: Role) -> list[ReplicaSpec]:
    return [ReplicaSpec(V100, LLAMA2_7B, 1, role) for role in roles]


def simulate(
    trace: Trace,
    policy: RoutingPolicy,
    specs: list[ReplicaSpec],
    faults: tuple[MachineLoss, ...] = (),
) -> RunResult:
    """Run a trace with first-come-first-served mixed batches, as the paper's vLLM."""
    mechanisms = Mechanisms(
        policy,
        lambda spec: MixedBatching(requests_max=128),
        lambda spec: ContextLatency(PROFILE, ClockLaw(0.9, 0.2), V100.clock_mhz_max),
        None,
        lambda events, replicas: PrivateTransfers(events, 1e9),
    )
    return Simulation(Plan("router", 0, trace, specs, mechanisms, faults=faults)).run()
