"""A closed loop: as many clients as connections, each sending again once its answer is in; 1, 2, 8, 32 and 64 in turn.

STEPS ("1,2,8,32,64") and STEP_S (10) in the environment change the steps. Between two steps the statistics are printed and
begin anew.
"""

import os

from locust import LoadTestShape, task
from locust.stats import print_stats

from loadtests.locust.invocation import Invoker

STEPS = tuple(int(count) for count in os.environ.get("STEPS", "1,2,8,32,64").split(","))
STEP_S = float(os.environ.get("STEP_S", "10"))


class Closed(Invoker):
    """Sends the next request as soon as the answer is in."""

    @task
    def next(self) -> None:
        """One invocation."""
        self.invoke()


class Steps(LoadTestShape):
    """One step for each number of connections, then the end."""

    step = 0

    def tick(self) -> tuple[int, float] | None:
        """How many users there are now, and how many may start in a second; None ends the run."""
        elapsed_s: float = self.get_run_time()  # type: ignore[no-untyped-call]
        step = int(elapsed_s / STEP_S)
        if step != self.step and self.runner is not None:
            print_stats(self.runner.stats, current=False)
            self.runner.stats.reset_all()
            self.step = step
        return (STEPS[step], STEPS[step]) if step < len(STEPS) else None
