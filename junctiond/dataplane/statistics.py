"""The data plane's counters as it reports them (docs/protocols.md, section 4); fields of a newer version are passed over."""

import msgspec


class Duration(msgspec.Struct, frozen=True):
    """A cumulative histogram; `counts` may or may not hold the bucket without a bound."""

    bounds_s: list[float] = []
    counts: list[int] = []
    sum_s: float = 0.0


class FunctionCounters(msgspec.Struct, frozen=True):
    """The data plane's counters of one function."""

    name: str
    namespace: str
    started: int = 0
    codes: dict[str, int] = {}
    in_flight: int = 0
    queued: int = 0
    rejected: int = 0
    duration: Duration = Duration()
    bytes_in: int = 0
    bytes_out: int = 0

    @property
    def function_name(self) -> str:
        """`name.namespace`, as metrics name a function."""
        return f"{self.name}.{self.namespace}"


class SandboxCounters(msgspec.Struct, frozen=True):
    """The data plane's counters of one sandbox."""

    sandbox: str
    notifications: int = 0
    injected: int = 0
    denied: int = 0
    dials: int = 0
    dial_failures: int = 0
    ring_connections: int = 0
    """Connections on rings now."""
    wakes_to_guest: int = 0
    wakes_to_host: int = 0
    """Times one side had to wake the other from its sleep behind a ring."""
    wakes_avoided: int = 0
    """Times the guest was told something while it was awake."""
    ring_upgrades: int = 0
    ring_leaves: int = 0
    """Connections that changed over to rings, and that went back to their descriptor."""
    ring_violations: int = 0
    """Connections cut because the guest broke the protocol of the rings."""
    spin_ns: int = 0
    """How long the guest may poll before it parks, now."""


class WorkerCounters(msgspec.Struct, frozen=True):
    """The counters of one front-door thread."""

    connections: int = 0
    requests: int = 0
    wakeups: int = 0
    events: int = 0
    bells: int = 0
    """Events that were a bell of the rings."""
    thread: int = 0
    cores: list[int] = []
    """Cores that the thread may use."""
    run_ns: int = 0
    wait_ns: int = 0
    """Able to run while others had the core."""
    park_ns: int = 0


class Statistics(msgspec.Struct, frozen=True):
    """All counters of the data plane; unknown ones of a newer version are passed over."""

    functions: list[FunctionCounters] = []
    sandboxes: list[SandboxCounters] = []
    workers: list[WorkerCounters] = []


def parse_statistics(text: str) -> Statistics:
    """Decodes the data plane's report; an empty one counts nothing.

    Raises:
        msgspec.ValidationError: it is no report.
    """
    return msgspec.json.decode(text or "{}", type=Statistics)
