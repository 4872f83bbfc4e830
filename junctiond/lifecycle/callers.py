"""Callers who wait for a function to become what they asked for."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from junctiond.errors import HostError
from junctiond.lifecycle.generation import Generation


@dataclass(slots=True)
class Trial:
    """A candidate generation whose caller waits."""

    generation: Generation
    replicas: int
    done: asyncio.Future[None]
    accepted: bool = False

    def fulfil(self) -> None:
        """It was accepted and is routed to."""
        if not self.done.done():
            self.done.set_result(None)

    def refuse(self, error: HostError) -> None:
        """It will not come to life."""
        _fail(self.done, error)


@dataclass(slots=True)
class _Waiter:
    done: asyncio.Future[None]
    satisfied: Callable[[], bool]
    failures_max: float
    """More failures than these, and nothing available, end the wait."""


@dataclass(slots=True)
class Waiters:
    """Everyone who waits for a state of the function."""

    waiting: list[_Waiter] = field(default_factory=list)

    async def until(
        self, satisfied: Callable[[], bool], failures_max: float, begun: Callable[[], None]
    ) -> None:
        """Waits until `satisfied` holds at a `settle`; `begun` is called once this counts.

        Raises:
            HostError: there were more failures than `failures_max` and nothing is available.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(done, satisfied, failures_max)
        self.waiting.append(waiter)
        begun()
        try:
            await done
        finally:
            self.waiting.remove(waiter)

    def settle(self, failures: int, stuck: HostError | None) -> None:
        """Answers those whose wish is fulfilled, and with `stuck` those whose patience is used up."""
        for waiter in list(self.waiting):
            if waiter.satisfied() and not waiter.done.done():
                waiter.done.set_result(None)
            elif stuck is not None and failures > waiter.failures_max:
                _fail(waiter.done, stuck)

    def refuse(self, error: HostError) -> None:
        """Tells everyone that there is nothing to wait for any more."""
        for waiter in self.waiting:
            _fail(waiter.done, error)


def _fail(future: asyncio.Future[None], error: HostError) -> None:
    if not future.done():
        future.set_exception(error)
