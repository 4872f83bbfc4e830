"""Cores without threads: remembers who was put where, and tells the shares that a test sets."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from junctiond.cores.sampler import Look


@dataclass(slots=True)
class FakeCores:
    """`Actuator` and `Sampling` in memory.

    Attributes:
        usable: what a cpuset would allow.
        placed: where each sandbox was put last.
        gone: sandboxes that have ended.
        busy, door: shares of each core since the look before, 0 to 1.
        shares: cores' worth of CPU time of each sandbox.
        asked: how many sandboxes each look wanted to know of.
    """

    usable: frozenset[int] = frozenset(range(64))
    placed: dict[str, tuple[int, ...]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    busy: dict[int, float] = field(default_factory=dict)
    door: dict[int, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    _at_ns: int = 0
    _busy_ns: dict[int, int] = field(default_factory=dict)
    _door_ns: dict[int, int] = field(default_factory=dict)
    _cpu_ns: dict[str, int] = field(default_factory=dict)

    def place(self, sandbox: str, cores: tuple[int, ...]) -> str:
        """See `Actuator`."""
        if sandbox in self.gone:
            return ""
        if not self.usable & set(cores):
            return f"cores {cores} are refused: Invalid argument"
        self.placed[sandbox] = cores
        return ""

    def look(self, now_ns: int, jnetd: int | None, sandboxes: Iterable[str]) -> Look:
        """See `Sampling`."""
        span_ns = now_ns - self._at_ns
        self._at_ns = now_ns
        wanted = set(sandboxes)
        self.asked.append(len(wanted))
        for core, share in self.busy.items():
            self._busy_ns[core] = self._busy_ns.get(core, 0) + round(share * span_ns)
        for core, share in self.door.items():
            self._door_ns[core] = self._door_ns.get(core, 0) + round(share * span_ns)
        for sandbox, share in self.shares.items():
            self._cpu_ns[sandbox] = self._cpu_ns.get(sandbox, 0) + round(share * span_ns)
        return Look(
            now_ns,
            dict(self._busy_ns),
            dict.fromkeys(self._busy_ns, now_ns),
            dict(self._door_ns),
            {key: value for key, value in self._cpu_ns.items() if key in wanted},
        )

    def forget(self, sandbox: str) -> None:
        """See `Sampling`."""
        self._cpu_ns.pop(sandbox, None)

    def close(self) -> None:
        """See `Sampling`."""
