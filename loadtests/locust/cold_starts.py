"""Cold starts, one after the other: scales the function to zero, waits until it has gone, and invokes it.

The scaling needs the gateway's account: GATEWAY_USER (admin) and PASSWORD_FILE in the environment. What counts is the row
of the function; the rows of the API are what the scenario itself asks.
"""

import os
import time
from pathlib import Path

from locust import task
from locust.exception import StopUser

from loadtests.locust.invocation import FUNCTION, Invoker

USER = os.environ.get("GATEWAY_USER", "admin")
PASSWORD_FILE = Path(os.environ.get("PASSWORD_FILE", "/var/lib/faasd/secrets/basic-auth-password"))
GONE_WAIT_S = 30.0
PAUSE_S = 0.15
"""Before each launch: a front door asks for a replica of one function at most once in 0.1 s (docs/protocols.md)."""


class Cold(Invoker):
    """Never finds a replica."""

    fixed_count = 1

    def on_start(self) -> None:
        """Reads the password, so that a wrong path is told at once."""
        try:
            self.account = (USER, PASSWORD_FILE.read_text().strip())
        except OSError as error:
            raise StopUser(f"PASSWORD_FILE {PASSWORD_FILE}: {error.strerror}") from error

    @task
    def next(self) -> None:
        """One cold start."""
        self.client.post(
            f"/system/scale-function/{FUNCTION}",
            json={"serviceName": FUNCTION, "replicas": 0},
            auth=self.account,
            name="/system/scale-function",
        )
        deadline_ns = time.monotonic_ns() + int(GONE_WAIT_S * 1e9)
        while self._replicas() and time.monotonic_ns() < deadline_ns:
            time.sleep(0.01)  # of gevent: others go on
        time.sleep(PAUSE_S)
        self.invoke()

    def _replicas(self) -> int:
        answer = self.client.get(
            f"/system/function/{FUNCTION}", auth=self.account, name="/system/function"
        )
        return int((answer.json() or {}).get("availableReplicas", 0)) if answer.content else 0
