"""Who sits where: signals and the time in, moves out. Pure; docs/decisions/0005-affinity.md has the measurements.

A request is cheapest when the front door's worker and the function share a core: the hand-over is a switch and not a
wake-up of a halted core. That holds until the core is full, so a sandbox stays *paired* while its worker's core has room
and is *spread* to the cores without workers while it has not. Three rules:

    relief   a worker's core is busy: those that use most of it go where there is room, if there is room
    hog      a sandbox computes for long: it goes, room or not, for it delays everyone who shares the worker;
             more hogs than other cores share all cores
    return   a sandbox goes home when it would find room there for a while; every eviction doubles that while

Beside these, a sandbox that is to poll is lent a core without workers for as long as it polls (`junctiond.cores.spin`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from junctiond.cores.base import Assignment, Seat, Signals, Wish
from junctiond.cores.layout import Layout, Mode
from junctiond.cores.thresholds import THRESHOLDS, Thresholds

NOT_PINNED = "placement is off"
ONE_CORE = "there is one core"
BESIDE_DOOR = "beside its worker"
SEES_ALL = "sees all cores"
RELIEF = "its worker's core is busy"
HOG = "computes more than it answers"
OVERFLOW = "more computing than other cores"
CALM = "its worker's core has room again"
POLLS = "polls for its next request"


@dataclass(slots=True)
class _Sitter:
    wish: Wish
    home: int | None
    """The core of its worker; None: it is no one's."""
    now: Assignment
    arrived_at_ns: int
    calm_since_ns: int | None = None
    evictions: int = 0
    evicted_at_ns: int = 0


class PlacementPolicy:
    """Keeps the assignment of every sandbox. Not thread-safe; owned by the steward."""

    def __init__(self, layout: Layout, thresholds: Thresholds | None = None) -> None:
        self._layout = layout
        self._limits = thresholds or THRESHOLDS[layout.mode]
        self._sitters: dict[str, _Sitter] = {}
        self._hot_since_ns: dict[int, int] = {}
        self._foreign_until_ns: dict[int, int] = {}
        """Cores that other programs fill: until when they are none of our business."""
        self._active = bool(layout.doors) and len(layout.usable) > 1
        self._spread = tuple(core for core in layout.usable if core not in layout.doors)

    @property
    def assignments(self) -> Mapping[str, Assignment]:
        """Where every sandbox belongs now."""
        return {sandbox: sitter.now for sandbox, sitter in self._sitters.items()}

    @property
    def calm(self) -> bool:
        """Nothing is busy and nobody is away from where it began: the next look may be late."""
        return not self._hot_since_ns and all(map(self._at_base, self._sitters.values()))

    @property
    def wants_shares(self) -> bool:
        """Whether the next look needs what each sandbox uses; it costs a file read per sandbox."""
        return self._active and not self.calm

    def assignment(self, sandbox: str) -> Assignment | None:
        """Where a sandbox belongs."""
        sitter = self._sitters.get(sandbox)
        return sitter.now if sitter else None

    def arrive(self, sandbox: str, wish: Wish, now_ns: int) -> Assignment:
        """A sandbox is about to start, or was found running: where it begins."""
        layout = self._layout
        home: int | None = None
        if not layout.doors:
            begin = Assignment((), Seat.FREE, NOT_PINNED, now_ns)
        elif not self._active:
            begin = Assignment((), Seat.FREE, ONE_CORE, now_ns)
        elif wish is Wish.ONE or (wish is Wish.HOST and (layout.few or layout.mode is Mode.ECO)):
            home = self._least_taken()
            begin = Assignment((home,), Seat.PAIRED, BESIDE_DOOR, now_ns)
        else:
            begin = Assignment(layout.usable, Seat.FREE, SEES_ALL, now_ns)
        self._sitters[sandbox] = _Sitter(wish, home, begin, now_ns)
        return begin

    def leave(self, sandbox: str) -> None:
        """A sandbox is gone."""
        self._sitters.pop(sandbox, None)

    def decide(self, seen: Signals, span_ns: int, now_ns: int) -> list[tuple[str, Assignment]]:
        """The moves to make now.

        Args:
            seen: shares since the look before.
            span_ns: how long ago that was; a long look at a busy core needs no second one.
            now_ns: monotonic time.
        """
        if not self._active:
            return []
        self._note_heat(seen, span_ns, now_ns)
        if not seen.sandboxes:
            return []
        self._leave_foreign_heat(seen, now_ns)
        before = self.assignments
        busy = dict(seen.busy)
        for core in self._layout.doors:
            since_ns = self._hot_since_ns.get(core)
            if since_ns is not None and now_ns - since_ns >= self._limits.hold_ns:
                self._relieve(core, seen, busy, now_ns)
        self._keep_free_hogs_off_doors(seen, busy, now_ns)
        self._bring_back(seen, busy, now_ns)
        return [
            (sandbox, sitter.now)
            for sandbox, sitter in self._sitters.items()
            if sitter.now.cores != before[sandbox].cores
        ]

    def lend(self, sandbox: str, now_ns: int) -> Assignment | None:
        """Gives a paired sandbox the cores without workers, to poll there; None where it cannot have them."""
        sitter = self._sitters.get(sandbox)
        if sitter is None or sitter.now.seat is not Seat.PAIRED or not self._spread:
            return None
        self._move(sitter, self._spread, Seat.SPREAD, POLLS, now_ns)
        return sitter.now

    def take_back(self, sandbox: str, now_ns: int) -> Assignment | None:
        """Ends a loan; None where there was none."""
        sitter = self._sitters.get(sandbox)
        if sitter is None or sitter.home is None or sitter.now.reason != POLLS:
            return None
        self._move(sitter, (sitter.home,), Seat.PAIRED, CALM, now_ns)
        return sitter.now

    # The rules.

    def _note_heat(self, seen: Signals, span_ns: int, now_ns: int) -> None:
        for core in self._layout.doors:
            foreign = now_ns < self._foreign_until_ns.get(core, 0)
            cool = seen.busy.get(core, 0.0) < self._limits.high
            if cool or foreign or not self._anyone_at(core):
                self._hot_since_ns.pop(core, None)
            else:
                self._hot_since_ns.setdefault(core, now_ns - span_ns)

    def _leave_foreign_heat(self, seen: Signals, now_ns: int) -> None:
        """A core that others fill while we do next to nothing there needs no watching: nobody of ours would be moved."""
        for core in list(self._hot_since_ns):
            ours = seen.door.get(core, 0.0) + sum(
                seen.sandboxes.get(sandbox, 0.0)
                for sandbox, sitter in self._sitters.items()
                if core in sitter.now.cores
            )
            if ours < self._limits.share_min:
                del self._hot_since_ns[core]
                self._foreign_until_ns[core] = now_ns + self._limits.foreign_ns

    def _relieve(self, core: int, seen: Signals, busy: dict[int, float], now_ns: int) -> None:
        shares = seen.sandboxes
        here = [
            (shares.get(sandbox, 0.0), sandbox, sitter)
            for sandbox, sitter in self._sitters.items()
            if sitter.now.seat is Seat.PAIRED
            and sitter.now.cores == (core,)
            and now_ns - sitter.arrived_at_ns >= self._limits.settle_ns
        ]
        limits = self._limits
        alone = sum(share >= limits.share_min for share, _, _ in here) < 2
        enough = limits.share_alone if alone else limits.share_min
        ours = sum(share for share, _, _ in here) + seen.door.get(core, 0.0)
        for share, name, sitter in sorted(here, key=lambda one: (-one[0], one[1])):
            if share < limits.share_min or busy[core] < limits.high:
                break
            hog = self._is_hog(share, ours, seen.requests.get(name))
            target = self._target(core, share, busy, hog=hog) if hog or share >= enough else None
            if target is None:
                continue
            cores, seat, reason = target
            for one in cores:
                busy[one] = busy.get(one, 0.0) + share / len(cores)
            busy[core] -= share
            if seat is Seat.PAIRED:
                sitter.home = cores[0]
            sitter.evictions += 1
            sitter.evicted_at_ns = now_ns
            self._move(sitter, cores, seat, reason, now_ns)
            self._hot_since_ns[core] = now_ns

    def _target(
        self, core: int, share: float, busy: Mapping[int, float], *, hog: bool
    ) -> tuple[tuple[int, ...], Seat, str] | None:
        """Where a sandbox from a busy core goes; None: it is as well off where it is."""
        if not self._spread:
            other = min(
                (one for one in self._layout.doors if one != core),
                key=lambda one: (busy.get(one, 0.0), one),
                default=None,
            )
            if other is None:
                return None
            # A hog that has its core for itself is no better off elsewhere.
            bound = busy[core] - self._limits.room_min if hog else self._limits.low
            if busy.get(other, 0.0) + share > bound:
                return None
            return (other,), Seat.PAIRED, HOG if hog else RELIEF
        if hog:
            if self._hogs_spread() < len(self._spread):
                return self._spread, Seat.SPREAD, HOG
            return self._layout.usable, Seat.FREE, OVERFLOW
        room = max(1.0 - busy.get(one, 0.0) for one in self._spread)
        if room < min(share + self._limits.room_min, 1.0):
            return None
        return self._spread, Seat.SPREAD, RELIEF

    def _keep_free_hogs_off_doors(
        self, seen: Signals, busy: Mapping[int, float], now_ns: int
    ) -> None:
        """Those that see all cores compute on the cores without workers while these suffice."""
        room = float(len(self._spread)) - sum(
            seen.sandboxes.get(sandbox, 0.0)
            for sandbox, sitter in self._sitters.items()
            if sitter.now.seat is Seat.SPREAD
        )
        full = all(busy.get(core, 0.0) >= 0.95 for core in self._spread)
        for sandbox, sitter in self._sitters.items():
            share = seen.sandboxes.get(sandbox, 0.0)
            if sitter.home is not None or not self._spread:
                continue
            if sitter.now.seat is Seat.SPREAD:
                if full or share < self._limits.compute_share / 2:
                    evicted = full and share >= self._limits.compute_share / 2
                    self._return(sitter, OVERFLOW if evicted else SEES_ALL, now_ns, at_once=evicted)
                else:
                    sitter.calm_since_ns = None
            elif share >= self._limits.compute_share and share <= 0.9 * room:
                if self._calm_long_enough(sitter, now_ns):
                    room -= share
                    self._move(sitter, self._spread, Seat.SPREAD, HOG, now_ns)
            else:
                sitter.calm_since_ns = None

    def _bring_back(self, seen: Signals, busy: dict[int, float], now_ns: int) -> None:
        limits = self._limits
        for sandbox, sitter in self._sitters.items():
            home = sitter.home
            if home is None or sitter.now.seat is Seat.PAIRED or sitter.now.reason == POLLS:
                continue
            share = seen.sandboxes.get(sandbox, 0.0)
            fits = share < limits.share_min or (
                busy.get(home, 0.0) + share <= limits.low and share < 0.7 * limits.hog_share
            )
            if not fits:
                sitter.calm_since_ns = None
                if sitter.now.seat is Seat.FREE and self._hogs_spread() < len(self._spread):
                    self._move(sitter, self._spread, Seat.SPREAD, HOG, now_ns)
            elif self._calm_long_enough(sitter, now_ns):
                busy[home] = busy.get(home, 0.0) + share
                self._move(sitter, (home,), Seat.PAIRED, CALM, now_ns)

    # Small questions.

    def _return(self, sitter: _Sitter, reason: str, now_ns: int, *, at_once: bool) -> None:
        """Back to all cores: at once where its own are full, else after a calm while."""
        if at_once:
            sitter.evictions += 1
            sitter.evicted_at_ns = now_ns
        elif not self._calm_long_enough(sitter, now_ns):
            return
        self._move(sitter, self._layout.usable, Seat.FREE, reason, now_ns)

    def _calm_long_enough(self, sitter: _Sitter, now_ns: int) -> bool:
        limits = self._limits
        if sitter.calm_since_ns is None:
            sitter.calm_since_ns = now_ns
        if sitter.evictions and now_ns - sitter.evicted_at_ns >= limits.forgive_ns:
            sitter.evictions = 0
        doublings = min(max(sitter.evictions - 1, 0), 30)
        needed_ns = min(limits.calm_ns << doublings, limits.calm_ns_max)
        return now_ns - sitter.calm_since_ns >= needed_ns

    def _move(
        self, sitter: _Sitter, cores: tuple[int, ...], seat: Seat, reason: str, now_ns: int
    ) -> None:
        sitter.calm_since_ns = None
        moves = sitter.now.moves + (cores != sitter.now.cores)
        sitter.now = replace(
            sitter.now, cores=cores, seat=seat, reason=reason, since_ns=now_ns, moves=moves
        )

    def _is_hog(self, share: float, ours: float, requests: float | None) -> bool:
        """Whether it computes for long; `requests` are invocations per second."""
        limits = self._limits
        if requests is None:
            return False
        much = share >= limits.hog_share or share >= max(limits.hog_share_min, ours / 2)
        return much and share * 1e9 >= limits.hog_cost_ns * requests

    def _hogs_spread(self) -> int:
        return sum(
            sitter.home is not None and sitter.now.seat is Seat.SPREAD and sitter.now.reason == HOG
            for sitter in self._sitters.values()
        )

    def _anyone_at(self, core: int) -> bool:
        return any(core in sitter.now.cores for sitter in self._sitters.values())

    def _at_base(self, sitter: _Sitter) -> bool:
        return sitter.now.seat is (Seat.FREE if sitter.home is None else Seat.PAIRED)

    def _least_taken(self) -> int:
        taken = dict.fromkeys(self._layout.doors, 0)
        for sitter in self._sitters.values():
            if sitter.home in taken:
                taken[sitter.home] += 1
        return min(taken, key=lambda core: (taken[core], core))
