"""One invocation after the other, each on a connection of its own: run it with one user."""

from locust import task

from loadtests.locust.invocation import Invoker


class Fresh(Invoker):
    """Says with each request that it is the last on its connection, so that the next one opens another."""

    fixed_count = 1

    @task
    def next(self) -> None:
        """One invocation."""
        self.invoke(headers={"Connection": "close"})
