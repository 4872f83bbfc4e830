"""One invocation after the other on one kept-alive connection: run it with one user (`-u 1`)."""

from locust import task

from loadtests.locust.invocation import Invoker


class Sequential(Invoker):
    """Sends the next request as soon as the answer is in."""

    fixed_count = 1

    @task
    def next(self) -> None:
        """One invocation."""
        self.invoke()
