"""Nearly an open loop: a rate that does not fall because answers are late.

Each user sends at fixed moments (`constant_throughput`) and is late only while its own earlier request is under way, so the
loop is open as long as there are more users than requests in flight: give some times more users than the rate times the
expected latency. Locust counts latency from the sending, not from when a request was due; for that use loadtests/client.

RATE (per second, of all users together) and USERS in the environment set the load.
"""

import os

from locust import constant_throughput, task

from loadtests.locust.invocation import Invoker

RATE = float(os.environ.get("RATE", "100"))
USERS = int(os.environ.get("USERS", "64"))


class Open(Invoker):
    """Sends RATE / USERS requests a second."""

    fixed_count = USERS
    wait_time = constant_throughput(RATE / USERS)

    @task
    def next(self) -> None:
        """One invocation."""
        self.invoke()
