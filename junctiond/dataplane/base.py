"""What the daemon asks of the data plane; the client of jnetd and the fake both keep to it."""

from typing import Protocol

from junctiond.dataplane.protocol import AttachedSandbox, Event, Function, Hello, Platform


class DataplaneError(Exception):
    """jnetd refused. `code` is one of docs/protocols.md, section 3."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class DataplaneLost(Exception):
    """There is no connection to jnetd, or it broke before the answer came."""


class Listener(Protocol):
    """Who hears of the data plane. Called on the event loop; must not block."""

    def dataplane_event(self, event: Event) -> None:
        """Something happened in jnetd."""
        ...

    def dataplane_connected(self, sandboxes: list[AttachedSandbox]) -> None:
        """A connection stands, the whole state was sent, and these sandboxes are attached."""
        ...

    def dataplane_lost(self) -> None:
        """The connection broke; events may have been missed."""
        ...


class Dataplane(Protocol):
    """Routes and questions. State given here is sent again to every new jnetd."""

    @property
    def hello(self) -> Hello | None:
        """Who jnetd is; None while there is no connection."""
        ...

    async def run(self, listener: Listener) -> None:
        """Keeps a connection until cancelled and reports to `listener`."""
        ...

    async def set_platform(self, platform: Platform) -> None:
        """Replaces what sandboxes see of the host; sent where it differs.

        Raises:
            DataplaneError: jnetd refuses it.
        """
        ...

    async def put_function(self, function: Function) -> None:
        """Replaces a function; returns at once while there is no connection (it is sent later).

        Raises:
            DataplaneError: jnetd refuses this function.
        """
        ...

    async def delete_function(self, namespace: str, name: str) -> None:
        """Forgets a function; no error where jnetd does not know it."""
        ...

    async def probe(self, sandbox: str, port: int, path: str | None, timeout_ms: int) -> int | None:
        """Waits until a replica accepts a connection (and answers 2xx on `path`); the HTTP status, if any.

        Raises:
            DataplaneError: not_ready after the timeout, unknown_sandbox.
            DataplaneLost: no answer.
        """
        ...

    async def drain(self, sandbox: str, timeout_ms: int) -> int:
        """Waits until nothing is in flight; what still is at the timeout.

        Raises:
            DataplaneError: unknown_sandbox.
            DataplaneLost: no answer.
        """
        ...

    async def sandboxes(self) -> list[AttachedSandbox]:
        """The attached sandboxes. Raises DataplaneLost."""
        ...

    async def put_wake_policy(self, sandbox: str, spin_us: int) -> None:
        """Says how long a sandbox may poll its rings before it parks; 0: not at all.

        Raises:
            DataplaneError: unknown_sandbox, or a jnetd that does not know the operation.
            DataplaneLost: no answer.
        """
        ...

    async def stats_json(self) -> str:
        """All counters as JSON text (docs/protocols.md, section 4). Raises DataplaneLost."""
        ...
