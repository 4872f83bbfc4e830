"""`python -m loadtests.simulator.probe SCENARIO [KEY=VALUE ...]`: runs one scenario and prints what it cost, as JSON.

A process of its own for each run: what one run leaves in caches and in the allocator is no part of the next one's cost.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.simulator.workloads import Workload

TIMEOUT_S = 300
REPOSITORY = Path(__file__).resolve().parents[2]


class ProbeFailed(Exception):
    """A scenario was not simulated to its end; the message says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run.

    Attributes:
        requests: completed.
        events: taken from the heap.
        run_cpu_s: CPU time of the run itself.
        whole_cpu_s: of the whole process: interpreter, imports, trace, run, results and their audit.
        peak_rss_kib: the most memory that the process had.
    """

    requests: int
    events: int
    run_cpu_s: float
    whole_cpu_s: float
    peak_rss_kib: int

    def figures(self) -> dict[str, float]:
        """Under the names of docs/metrics.md."""
        return {
            "requests_per_cpu_s": self.requests / self.run_cpu_s,
            "whole_requests_per_cpu_s": self.requests / self.whole_cpu_s,
            "cpu_us_per_request": self.run_cpu_s / self.requests * 1e6,
            "peak_rss_mib": self.peak_rss_kib / 1024,
            "requests_count": self.requests,
            "events_per_request_count": self.events / self.requests,
        }


def measure(workload: Workload) -> Cost:
    """Run a workload in a process of its own.

    Raises:
        ProbeFailed: it failed, did not end in time, or printed no cost.
    """
    command = [sys.executable, "-m", __name__, workload.scenario, *workload.overrides]
    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise ProbeFailed(f"{workload.words}: not done after {TIMEOUT_S} s") from None
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2] or "nothing was said"
        raise ProbeFailed(f"{workload.words}: exit status {done.returncode}: {last}")
    try:
        return Cost(**json.loads(done.stdout))
    except (TypeError, ValueError):
        raise ProbeFailed(f"{workload.words}: printed no cost: {done.stdout[:200]!r}") from None


def peak_rss_kib(status: str) -> int:
    """From /proc/self/status. getrusage(2) would count what the parent had when it started this process, too."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise ValueError("no VmHWM in /proc/self/status")


def cost(scenario: str, overrides: Sequence[str]) -> Cost:
    """Simulate here and now."""
    from inference.results.run import Status
    from inference.scenarios.build import simulate
    from inference.scenarios.loader import load

    run = simulate(load(scenario, overrides))
    completed = int((run.requests.status == Status.COMPLETED).sum())
    if completed != len(run.requests.status):
        raise ProbeFailed(f"{len(run.requests.status) - completed} requests were not completed")
    return Cost(
        requests=completed,
        events=run.events,
        run_cpu_s=run.cpu_s,
        whole_cpu_s=time.process_time(),
        peak_rss_kib=peak_rss_kib(Path("/proc/self/status").read_text()),
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(cost(sys.argv[1], sys.argv[2:]))) + "\n")
