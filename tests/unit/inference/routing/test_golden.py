"""Goal: no routing decision changes by accident: latencies by (policy, rate) on four modelled V100s, two for each phase.

A change on purpose writes tests/golden/routing.txt anew with

    python -m tests.unit.inference.routing.test_golden

and its diff is explained in the commit. The V100's figures are the test's own, so that other profiles may change.
"""

from pathlib import Path

from inference.domain.replica import Role
from inference.policies.registry import ROUTING, routing_policy
from inference.results.golden import golden_difference, golden_text, write_golden
from inference.results.summary import summarise
from inference.traces.services import service_mix
from tests.unit.inference.routing.v100 import HH, HL, LH, LL, replicas, simulate

GOLDEN = Path(__file__).parents[3] / "golden" / "routing.txt"
ROLES = (Role.PREFILL, Role.PREFILL, Role.DECODE, Role.DECODE)
RATES = (0.8, 1.6)
SECONDS = 100
FIGURES = ("completed", "ttft_ms_p50", "ttft_ms_p99", "tbt_ms_p99", "e2e_ms_p50", "e2e_ms_p99")


def table() -> str:
    runs = {}
    for rate in RATES:
        trace = service_mix((LL, LH, HL, HH), rate, SECONDS, 1, "router")
        for name in ROUTING.names:
            run = simulate(trace, routing_policy(name, seed=1), replicas(*ROLES))
            runs[name, rate] = summarise(run)
    title = f"routing policies, Llama2-7B on 4 V100s (2 prefill, 2 decode), {SECONDS} s, seed 1"
    return golden_text(title, runs, FIGURES)


def test_no_policy_decides_otherwise():
    assert golden_difference(GOLDEN, table()) == ""


if __name__ == "__main__":
    write_golden(GOLDEN, table())
