"""Who decides over a replica's SM clock: brake, then cap, then the policy's wish.

The three papers meet here: DynamoLLM's instance manager wishes a clock, POLCA's controller of the row may bound it from
above, and the row's power brake overrides both. The simulator and the live gateway use this one module, so that a clock
is never decided in two ways.

Whoever decides may only slow down what stands below: a cap above the wish changes nothing, a brake clock above the cap
does not raise it. So the clock in force never rises by an emergency.
"""

from dataclasses import dataclass

from inference.domain.action import Precedence, SetBrake, SetCap, SetClock


def effective_clock(
    policy_mhz: int, cap_mhz: int, braked: bool, brake_mhz: int
) -> tuple[int, Precedence]:
    """The SM clock in force, and who limits it.

    Args:
        policy_mhz: what the policy wishes, above 0.
        cap_mhz: bound from above; 0 for none.
        braked: whether the power brake is engaged.
        brake_mhz: clock of a braked GPU (288 MHz on an A100; POLCA, section 2).

    Returns:
        The clock, and `BRAKE` whenever the brake is engaged, `CAP` where a cap lies below the wish, else `POLICY`.
    """
    clock_mhz, limiter = policy_mhz, Precedence.POLICY
    if 0 < cap_mhz < clock_mhz:
        clock_mhz, limiter = cap_mhz, Precedence.CAP
    if braked:
        return min(clock_mhz, brake_mhz), Precedence.BRAKE
    return clock_mhz, limiter


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds for a replica's clock now.

    Attributes:
        clock_mhz: in force.
        limited_by: who set it.
        changed: whether the clock differs from the one before; only then is there something for an actuator to do.
    """

    clock_mhz: int
    limited_by: Precedence
    changed: bool


class ClockArbiter:
    """The clock of one replica (all its GPUs run at one clock) as policy, cap and brake come and go.

    It remembers what each of the three asked for last, so lifting one brings back the next in rank. Delays are not its
    matter: the driver tells it of an action when the action lands.

    Attributes:
        policy_mhz, cap_mhz, braked: what was asked for last; a cap of 0 is none.
    """

    __slots__ = (
        "_brake_mhz",
        "_clock_mhz",
        "_max_mhz",
        "_min_mhz",
        "braked",
        "cap_mhz",
        "policy_mhz",
    )

    def __init__(self, min_mhz: int, max_mhz: int, brake_mhz: int) -> None:
        """Begin at the highest clock, without cap or brake.

        Args:
            min_mhz: lowest clock that the GPU can run at.
            max_mhz: highest clock that it can run at.
            brake_mhz: clock of the engaged brake; may lie below `min_mhz`, for the brake is the hardware's own.

        Raises:
            ValueError: the range is empty, or a clock is not positive.
        """
        if not 0 < min_mhz <= max_mhz:
            raise ValueError(f"clock range {min_mhz}..{max_mhz} MHz is empty or not positive")
        if not 0 < brake_mhz <= max_mhz:
            raise ValueError(f"brake clock {brake_mhz} MHz lies outside 1..{max_mhz} MHz")
        self._min_mhz = min_mhz
        self._max_mhz = max_mhz
        self._brake_mhz = brake_mhz
        self.policy_mhz = max_mhz
        self.cap_mhz = 0
        self.braked = False
        self._clock_mhz = max_mhz

    @property
    def ruling(self) -> Ruling:
        """What holds now; `changed` is False."""
        clock_mhz, limiter = self._effective()
        return Ruling(clock_mhz, limiter, changed=False)

    def wish(self, clock_mhz: int) -> Ruling:
        """The policy wishes a clock; 0 is the GPU's highest.

        Raises:
            ValueError: the GPU has no such clock.
        """
        self.policy_mhz = self._checked("policy clock", clock_mhz or self._max_mhz)
        return self._ruled()

    def cap(self, clock_mhz: int) -> Ruling:
        """A cap comes, moves or (0) goes.

        Raises:
            ValueError: the GPU has no such clock.
        """
        self.cap_mhz = self._checked("cap", clock_mhz) if clock_mhz else 0
        return self._ruled()

    def brake(self, engaged: bool) -> Ruling:
        """The power brake engages or lets go."""
        self.braked = engaged
        return self._ruled()

    def apply(self, action: SetClock | SetCap | SetBrake) -> Ruling:
        """Take one action of a policy, at the moment at which it lands.

        Raises:
            ValueError: the GPU has no such clock.
        """
        if isinstance(action, SetClock):
            return self.wish(action.clock_mhz)
        if isinstance(action, SetCap):
            return self.cap(action.clock_mhz)
        return self.brake(action.engaged)

    def _effective(self) -> tuple[int, Precedence]:
        return effective_clock(self.policy_mhz, self.cap_mhz, self.braked, self._brake_mhz)

    def _checked(self, what: str, clock_mhz: int) -> int:
        if not self._min_mhz <= clock_mhz <= self._max_mhz:
            raise ValueError(
                f"{what} {clock_mhz} MHz lies outside {self._min_mhz}..{self._max_mhz} MHz"
            )
        return clock_mhz

    def _ruled(self) -> Ruling:
        clock_mhz, limiter = self._effective()
        changed = clock_mhz != self._clock_mhz
        self._clock_mhz = clock_mhz
        return Ruling(clock_mhz, limiter, changed)
