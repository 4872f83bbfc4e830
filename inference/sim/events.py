"""The event heap: integer nanoseconds, equal times in the order in which they were scheduled."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Handler = Callable[[Any, int], None]
"""Called with the argument of the event and its sequence number, by which a receiver knows an event it has replaced."""


class EventQueue:
    """A heap ordered by (time_ns, sequence).

    Events are never taken back: a receiver that no longer wants one remembers the sequence of the one that it wants.

    Attributes:
        now_ns: time of the event at hand.
        taken: events handed out so far.
    """

    __slots__ = ("_heap", "_sequence", "now_ns", "taken")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Handler, Any]] = []
        self._sequence = 0
        self.now_ns = 0
        self.taken = 0

    def schedule(self, time_ns: int, handler: Handler, argument: object) -> int:
        """Queue a call; returns its sequence number. A time in the past is a programmer's mistake."""
        assert time_ns >= self.now_ns, "an event cannot happen before the one that causes it"
        self._sequence += 1
        heappush(self._heap, (time_ns, self._sequence, handler, argument))
        return self._sequence

    def run(self, end_ns: int | None = None) -> None:
        """Hand out events until none is left, or none before `end_ns`."""
        heap = self._heap
        taken = 0
        while heap:
            if end_ns is not None and heap[0][0] >= end_ns:
                break
            self.now_ns, sequence, handler, argument = heappop(heap)
            taken += 1
            handler(argument, sequence)
        self.taken += taken

    def clear(self) -> None:
        """Drop what is queued: `run` returns after the event at hand."""
        self._heap.clear()

    def __len__(self) -> int:
        return len(self._heap)
