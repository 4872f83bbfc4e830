"""What a handler gets: the host, the request's facts and its whole body."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.responses import Response

from junctiond.api.base import HostApi


@dataclass(frozen=True, slots=True)
class Call:
    """One request, decoded from HTTP.

    Attributes:
        host: the host API; every state lives there.
        body: the whole body, within `limits.BODY_BYTES_MAX`; may hold a secret, so never shown.
        path: the variables of the route.
        query: the query's parameters; of a repeated key the last value.
        ending: set when the provider stops, so that endless answers end.
    """

    host: HostApi
    body: bytes = field(default=b"", repr=False)
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def namespace(self) -> str:
        """Namespace of the query, empty where there is none."""
        return self.query.get("namespace", "")


Handler = Callable[[Call], Awaitable[Response]]
