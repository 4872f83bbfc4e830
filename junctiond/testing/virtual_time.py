"""An event loop whose time jumps to the next timer: hours of backoff and timeouts pass in milliseconds.

No real file descriptor may be waited for; work for threads is done at once. A seed decides nothing here: callbacks run
in the order they were scheduled, so one program gives one run.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Everything waits and no timer is set."""


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, tells the loop how far to jump."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task waits for something that no timer brings")
        if timeout > 0:
            self.jump(timeout)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and passes only by jumps."""

    def __init__(self) -> None:
        self._now_s = 0.0
        selector = _JumpingSelector()
        selector.jump = self._jump
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def now_ns(self) -> int:
        """The same as integer nanoseconds."""
        return round(self._now_s * 1e9)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Runs `func` now: a thread would race with virtual time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _jump(self, seconds: float) -> None:
        # A hair further, for timers compare as floats.
        self._now_s += seconds + 1e-9


def run(make: Callable[[VirtualTimeLoop], Coroutine[Any, Any, T]]) -> T:
    """Runs one coroutine to its end under virtual time; a task that failed unseen fails the run."""
    loop = VirtualTimeLoop()
    failures: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    try:
        result = loop.run_until_complete(make(loop))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    if failures:
        raise AssertionError(f"failed unseen: {failures[0]}")
    return result
