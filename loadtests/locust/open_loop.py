"""Nearly an open loop: a rate that does not fall because answers are late.

Each user sends at fixed moments (`constant_throughput`) and is late only while its own earlier request is under way, so the
loop is open as long as there are more users than requests in flight: give some times more users than the rate times the
expected latency. Locust counts latency from the sending, not from when a request was due; for that use loadtests/client.

RATE (per second, of all users together) in the environment sets the load; `-u` the users, and `-r` how many start in a
second: as many, for the rate is there when all have started.
"""

import os

from locust import constant_throughput, task

from loadtests.locust.invocation import Invoker

RATE = float(os.environ.get("RATE", "100"))


class Open(Invoker):
    """Sends its share of RATE."""

    def wait_time(self) -> float:
        """Until the next request is due."""
        users = self.environment.parsed_options.num_users or 1
        wait_s: float = constant_throughput(RATE / users)(self)
        return wait_s

    @task
    def next(self) -> None:
        """One invocation."""
        self.invoke()
