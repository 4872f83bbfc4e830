"""Who may poll: arrivals and idle cores in, a spin per sandbox out. Pure.

A guest that polls its rings for its next request answers without being woken, where the front door runs on another core.
On a core that is shared it only keeps the other side from running (50 µs of it made a median of 40 µs into 152), so a
grant needs all of: rings in use, a core apart from the worker's, an idle core, and requests that come closer together
than the spin lasts. Never more spinners than cores less one. A spin must outlive the client's turn, not the front door's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from junctiond.cores.layout import Mode

SPIN_US_MIN = 20
SPIN_US_MAX = 50
ENTER_LOOKS = 3
"""Looks in a row that must favour a spin before it is granted; one against it ends it."""
IDLE_SHARE_MIN = 0.2


@dataclass(frozen=True, slots=True)
class Caller:
    """What a look found of one sandbox.

    Attributes:
        requests: invocations since the look before.
        share: cores' worth of CPU time it used.
        apart: whether it has cores without workers, or may be lent some.
        rings: connections that are on rings now.
    """

    requests: int
    share: float
    apart: bool
    rings: int


class SpinPolicy:
    """Keeps the grants. `latency` grants at the first favourable look, `balanced` after a few, `eco` never."""

    def __init__(self, mode: Mode, cores: int) -> None:
        self._needed = {Mode.LATENCY: 1, Mode.BALANCED: ENTER_LOOKS}.get(mode, 0)
        self._spinners_max = max(0, cores - 1)
        self._favour: dict[str, int] = {}
        self._granted: dict[str, int] = {}

    @property
    def granted(self) -> Mapping[str, int]:
        """Microseconds that each sandbox may poll; absent: none."""
        return self._granted

    def decide(
        self, callers: Mapping[str, Caller], idle_cores: int, span_ns: int
    ) -> dict[str, int]:
        """The grants that change, 0 for those that end.

        Args:
            callers: every sandbox with rings or with a grant.
            idle_cores: cores that are idle for a good part of the time now; a granted spinner's own core counts as busy.
            span_ns: time since the look before.
        """
        if not self._needed:
            return {}
        wanted: list[tuple[int, str, int]] = []
        for sandbox, caller in callers.items():
            spin_us = _spin_us(caller, span_ns)
            looks = self._favour.get(sandbox, 0) + 1 if spin_us else 0
            self._favour[sandbox] = looks
            if spin_us and (looks >= self._needed or sandbox in self._granted):
                wanted.append((-caller.requests, sandbox, spin_us))
        self._favour = {key: value for key, value in self._favour.items() if key in callers}
        room = min(self._spinners_max, idle_cores + len(self._granted))
        now = {sandbox: spin_us for _, sandbox, spin_us in sorted(wanted)[:room]}
        # Small corrections are not worth a message.
        changes = {
            sandbox: spin_us
            for sandbox, spin_us in now.items()
            if abs(spin_us - self._granted.get(sandbox, 0)) > 5
        }
        changes |= dict.fromkeys(self._granted.keys() - now.keys(), 0)
        kept = {key: value for key, value in self._granted.items() if key in now}
        self._granted = kept | {key: value for key, value in changes.items() if value}
        return changes

    def forget(self, sandbox: str) -> None:
        """A sandbox is gone."""
        self._granted.pop(sandbox, None)
        self._favour.pop(sandbox, None)


def _spin_us(caller: Caller, span_ns: int) -> int:
    """A spin that outlives the mean gap between an answer and the next request; 0: none would."""
    if not caller.apart or not caller.rings or not caller.requests or span_ns <= 0:
        return 0
    idle_ns = max(0.0, span_ns * (1.0 - caller.share))
    gap_us = idle_ns / caller.requests / 1000
    if gap_us > SPIN_US_MAX:
        return 0
    return round(min(max(1.5 * gap_us, SPIN_US_MIN), SPIN_US_MAX))
