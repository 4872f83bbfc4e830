"""What all of DynamoLLM's experiments share: Llama2-70B on H100, its energy profiles, and how clusters are sized.

Sizing is the one freedom that the paper leaves open, and one rule decides it everywhere: a class' share of a server is its
rate over the highest rate that a server (TP8, highest clock) sustains within the class' objectives; plans add 10 % of
headroom and leave 10 % of every replica. SinglePool's servers are the sum of all shares at the peak. MultiPool's are the
same shares, each pool rounded up: what it costs more is fragmentation alone.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from inference.models.catalog import gpu_by_name, model_by_name
from inference.models.latency import latency_model, latency_provenance
from inference.models.power import power_model, power_provenance
from inference.models.provenance import Origin, Provenance
from inference.policies.dynamo.classes import TABLE_IV, TERCILES, Taxonomy, taxonomy
from inference.policies.dynamo.predictor import PAPER_ACCURACY, ClassPredictor
from inference.policies.dynamo.profile import EnergyProfile
from inference.policies.dynamo.survey import Bench, survey
from inference.policies.dynamo.workload import workloads_of
from inference.traces.azure import azure_2023

Float64 = npt.NDArray[np.float64]

MODEL = model_by_name("llama2-70b")
GPU = gpu_by_name("h100-80gb")
HEADROOM = 0.10
MARGIN = 0.90

# A pool of all requests promises what its largest class is promised: a short prompt may wait behind a long one there.
SINGLE = taxonomy("single", (), (), (2000.0,))


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """One service's requests under one grid of classes.

    Attributes:
        name: "conv" or "code".
        taxonomy: of its pools.
        profile: of those.
        shares: of each pool's requests.
    """

    name: str
    taxonomy: Taxonomy
    profile: EnergyProfile
    shares: Float64

    @property
    def per_server_s(self) -> float:
        """Requests of the whole mix per second that one server's worth of shares serves."""
        tp = self.profile.tps[-1]
        loads = [self.profile.load_max(pool, tp) for pool in range(len(self.shares))]
        return float(1.0 / np.sum(self.shares / np.array(loads)))

    def predictor(self, accuracy: float = PAPER_ACCURACY, seed: int = 0) -> ClassPredictor:
        """Of output bins; answers the median length of a bin."""
        trace = azure_2023(self.name)
        columns = self.taxonomy.output_bins
        bins = self.taxonomy.classify_columns(trace.prompt_tokens, trace.output_tokens) % columns
        answers = [int(np.median(trace.output_tokens[bins == column])) for column in range(columns)]
        return ClassPredictor(self.taxonomy, tuple(answers), accuracy, seed)


@cache
def bench() -> Bench:
    """Llama2-70B on H100, by the context-aware latency model and the power model. MODELLED."""
    return Bench(
        MODEL,
        GPU,
        lambda tp: latency_model(MODEL, GPU, tp, "context"),
        lambda tp: power_model(MODEL, GPU, tp),
        power_model(MODEL, GPU, 8).idle_w / 8,
        Provenance(
            Origin.MODELLED,
            "junctiond",
            "Llama2-70B on H100, TP 2, 4 and 8, 800 to 1980 MHz",
            "2026",
            f"{latency_provenance(MODEL, GPU, 8, 'context').source};"
            f" {power_provenance(MODEL, GPU, 8).source}",
            "steady states of the latency and power models",
        ),
    )


@cache
def service_of(name: str, grid: Taxonomy | None = None) -> Service:
    """A service under a grid; by default the conversation's terciles (the paper's mix), or table IV for code."""
    slo = TERCILES if name == "conv" else TABLE_IV
    pools = grid or slo
    trace = azure_2023(name)
    promised = SINGLE if pools is SINGLE else slo
    loads, shares = workloads_of(trace.prompt_tokens, trace.output_tokens, pools, promised)
    return Service(name, pools, survey(loads, bench()), shares)


def rate_for(name: str, servers: int) -> float:
    """Peak rate, in requests per second, for which SinglePool has just so many servers."""
    return servers * MARGIN / (1.0 + HEADROOM) * service_of(name).per_server_s * (1.0 - 1e-9)
