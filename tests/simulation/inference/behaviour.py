"""What every policy does on a small cluster, as tables: `tests/golden/*.txt` keep them (`test_golden_tables`).

A change of the plan goes into every run of a table, so that tests can see which tables notice it.
"""

from collections.abc import Callable, Mapping, Sequence

from inference.policies.registry import ROUTING
from inference.results.golden import FIGURES, golden_text
from inference.results.summary import Summary
from inference.scenarios.build import plan_of
from inference.scenarios.loader import load
from inference.scenarios.objectives import summary_of
from inference.sim.simulation import Plan, Simulation

Change = Callable[[Plan], Plan]
SCENARIO = "quickstart"
CLUSTER = (
    "replicas.prefill.count=3",
    "replicas.decode.count=2",
    'replicas.mixed={count=1,gpu="h100-80gb"}',
    "trace.duration_s=30",
)
RATES = (6.0, 12.0)
"""Requests per second that six machines serve with ease, and that some policies no longer do."""
VARIANTS: Mapping[str, Sequence[str]] = {
    "decode_balancer": ("placement=fcfs", "placement=least_work_left", "placement=bin_packing"),
    "mixing_impact": ("score_min=-1.0", "score_min=0.2"),
    "small_large": ("heavy_share=0.5",),
}
"""Settings of policies that have more than one face; the others run as they come."""
BATCHING = (
    ("splitwise", ()),
    ("splitwise, 4 at most", ("batching.requests_max=4",)),
    ("request_level", ("batching.policy=request_level",)),
    ("continuous", ("batching.policy=continuous",)),
    ("mixed", ("batching.policy=mixed",)),
    (
        "mixed, chunks of 512",
        (
            "batching.policy=mixed",
            "batching.tokens_max=512",
            "batching.parameters={chunked=true}",
        ),
    ),
)
LOSS = 'failures=[{kind="machine_loss",replica=3,at_s=10.0,for_s=8.0}]'
FAULTS = (
    ("none", ()),
    ("machine 3 lost from 10 to 18 s", (LOSS,)),
    ("machine 0 lost for good at 10 s", ('failures=[{kind="machine_loss",replica=0,at_s=10.0}]',)),
    (
        "link of machine 3 a hundred times slower",
        ('failures=[{kind="slow_link",replica=3,factor=100.0}]',),
    ),
    (
        "machine 3 twice as slow from 5 to 20 s",
        ('failures=[{kind="straggler",replica=3,at_s=5.0,for_s=15.0,factor=2.0}]',),
    ),
)
MOVED = (*FIGURES, "transfer_ms_p99", "preemptions", "restarts")


def same(plan: Plan) -> Plan:
    """No change."""
    return plan


def simulated(overrides: Sequence[str], change: Change = same) -> Summary:
    """The figures of one run, with the scenario's nine objectives."""
    scenario = load(SCENARIO, [*CLUSTER, *overrides])
    return summary_of(scenario, Simulation(change(plan_of(scenario))).run())


def _rated(rate: float) -> str:
    return f"trace.rate_per_s={rate}"


def policies(change: Change = same) -> str:
    """Every registered routing policy."""
    runs = {}
    for name in ROUTING.names:
        for variant in VARIANTS.get(name, ("",)):
            for rate in RATES:
                said = [_rated(rate), f"routing.policy={name}"]
                said += [f"routing.parameters.{variant}"] if variant else []
                runs[f"{name} {variant}".rstrip(), rate] = simulated(said, change)
    title = "3 prefill, 2 decode, 1 mixed H100 machines; conversation, 30 s, seed 0; compat mode"
    return golden_text(title, runs)


def batching(change: Change = same) -> str:
    """Every batching policy, where whole requests stay at one machine."""
    runs = {}
    for words, overrides in BATCHING:
        for rate in RATES:
            said = (_rated(rate), "routing.policy=token_jsq", "latency=context", *overrides)
            runs[words, rate] = simulated(said, change)
    title = "6 H100 machines by join the shortest queue; conversation, 30 s, seed 0; context mode"
    return golden_text(title, runs, MOVED)


def faults(change: Change = same) -> str:
    """What goes wrong, and what it costs."""
    runs = {
        (words, rate): simulated((_rated(rate), *overrides), change)
        for words, overrides in FAULTS
        for rate in RATES
    }
    title = "3 prefill, 2 decode, 1 mixed H100 machines by splitwise; conversation, 30 s, seed 0; compat mode"
    return golden_text(title, runs, MOVED)


TABLES: Mapping[str, Callable[[Change], str]] = {
    "policies": policies,
    "batching": batching,
    "faults": faults,
}
"""By the name of the file."""
