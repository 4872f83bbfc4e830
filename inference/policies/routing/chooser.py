"""The part of routing that differs from policy to policy: one replica among those that may serve a request.

A chooser sees candidates only; which they are, what happens without any, and requests too large for all of them is the
business of `whole`, `pairs` and `admission`, the same for every chooser.
"""

from collections.abc import Sequence
from typing import Protocol

from inference.domain.request import Request
from inference.domain.view import ClusterView

WAIT = -1
"""A chooser's answer that keeps the request at the head of the central queue."""


class Chooser(Protocol):
    """Chooses a replica for a request."""

    def choose(
        self, replicas: Sequence[int], request: Request, view: ClusterView, now_ns: int
    ) -> int:
        """One of `replicas`, or `WAIT`.

        Args:
            replicas: those of the request's model that accept, by rising index; at least one.
            request: the head of the queue.
            view: of the cluster.
            now_ns: time.
        """
        ...
