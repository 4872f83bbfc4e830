"""Requests that the routing policy holds: one line, first come first offered."""

from collections import deque
from collections.abc import Callable

from inference.errors import PolicyError
from inference.sim.events import EventQueue
from inference.sim.job import Job

HELD_NS_MAX = 24 * 3600 * 10**9
"""Longest time that a policy may hold a request at the router."""


class Lobby:
    """The line before the router.

    Offers are events of their own, never made in the middle of another.
    """

    __slots__ = ("_dispatch", "_events", "_expected", "_line", "_retry_ns")

    def __init__(
        self, events: EventQueue, dispatch: Callable[[Job], bool], retry_ns: Callable[[], int]
    ) -> None:
        """`dispatch` says whether a request has gone; `retry_ns` after how long to ask again if nothing happens (0: never)."""
        self._events = events
        self._dispatch = dispatch
        self._retry_ns = retry_ns
        self._line: deque[Job] = deque()
        self._expected = 0

    def __len__(self) -> int:
        return len(self._line)

    def enter(self, job: Job) -> None:
        """A request arrives: go on at once if nobody is before it and the policy lets it."""
        if self._line:
            self._line.append(job)  # the next offer is due already: arrivals do not put it off
        elif not self._dispatch(job):
            self._line.append(job)
            self._offer_later()

    def reenter(self, job: Job) -> None:
        """A request begins anew, behind the others."""
        self._line.append(job)
        self.offer_soon()

    def offer_soon(self) -> None:
        """Offer at this very time, after what is going on."""
        if self._line:
            self._expected = self._events.schedule(self._events.now_ns, self._offer, None)

    def check_patience(self, job: Job) -> None:
        """A policy that holds for ever would keep the simulation going for ever.

        Raises:
            PolicyError: the request has been here longer than any may.
        """
        held_ns = self._events.now_ns - job.request.arrival_ns
        if held_ns > HELD_NS_MAX:
            raise PolicyError(
                f"routing: request {job.request.request_id} has been held, or has waited for an idle replica, for "
                f"{held_ns // 10**9} s; refuse what cannot be served"
            )

    def _offer_later(self) -> None:
        retry_ns = self._retry_ns()
        if retry_ns:
            due_ns = self._events.now_ns + retry_ns
            self._expected = self._events.schedule(due_ns, self._offer, None)

    def _offer(self, nothing: None, sequence: int) -> None:
        if sequence != self._expected:
            return
        while self._line:
            if not self._dispatch(self._line[0]):
                self.check_patience(self._line[0])
                self._offer_later()
                return
            self._line.popleft()
