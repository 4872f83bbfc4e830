"""Carries a control table out: samples in, commands out, with at most one cap command in flight for each replica.

The brake is a line of its own beside the out-of-band commands, as in the machines: it does not wait for them.
"""

from collections.abc import Sequence

from inference.domain.action import Action, SetBrake, SetCap
from inference.domain.request import Priority
from inference.policies.power.control_table import ControlTable, Delays


class RowController:
    """A `PowerPolicy` that follows a control table.

    Replicas of one priority are always commanded together, so what is in flight is known per priority.
    """

    def __init__(
        self,
        table: ControlTable,
        provisioned_w: float,
        priorities: Sequence[Priority],
        delays: Delays | None = None,
    ) -> None:
        """Start uncapped.

        Args:
            table: the policy.
            provisioned_w: power that the row may draw.
            priorities: of each replica, by its index.
            delays: of telemetry, caps and brake; POLCA's own by default.

        Raises:
            ValueError: no power is provisioned.
        """
        if not provisioned_w > 0:
            raise ValueError(f"provisioned_w must be above 0, found {provisioned_w}")
        self.table = table
        self.brakes = 0
        self._delays = delays or Delays()
        self._provisioned_w = provisioned_w
        self._replicas = {
            priority: tuple(i for i, own in enumerate(priorities) if own == priority)
            for priority in Priority
        }
        self._level = 0
        self._commanded = dict.fromkeys(Priority, 0)
        self._lands_ns = dict.fromkeys(Priority, -self._delays.telemetry_ns)
        self._braked = False
        self._brake_lands_ns = -self._delays.telemetry_ns
        self._caps_wanted = False
        self._quiet_from, self._quiet_to = self._quiet()

    @property
    def telemetry_ns(self) -> int:
        """Time between two samples of the row's power."""
        return self._delays.telemetry_ns

    @property
    def level(self) -> int:
        """Index of the level that is in force or on its way."""
        return self._level

    @property
    def braked(self) -> bool:
        """Whether the brake is engaged or on its way."""
        return self._braked

    def sample(self, row_power_w: float, now_ns: int) -> Sequence[Action]:
        """Decide on the mean power of the telemetry period that ends now."""
        share = row_power_w / self._provisioned_w
        if self._quiet_from <= share < self._quiet_to and not self._caps_wanted:
            return ()
        actions: list[Action] = []
        self._brake(share, now_ns, actions)
        if not self._braked and self._settled(self._brake_lands_ns, now_ns):
            self._step(share, now_ns)
        self._command(now_ns, actions)
        self._quiet_from, self._quiet_to = self._quiet()
        return actions

    def _brake(self, share: float, now_ns: int, actions: list[Action]) -> None:
        if now_ns < self._brake_lands_ns:
            return
        if not self._braked and share > self.table.brake_above:
            self._braked = True
            self.brakes += 1
            self._level = len(self.table.levels) - 1
        elif (
            self._braked
            and share < self.table.release_below
            and self._settled(self._brake_lands_ns, now_ns)
            and self._caps_settled(now_ns)
        ):
            self._braked = False
        else:
            return
        self._brake_lands_ns = now_ns + self._delays.brake_ns
        actions += [
            SetBrake(replica, self._braked, self._delays.brake_ns)
            for replicas in self._replicas.values()
            for replica in replicas
        ]

    def _step(self, share: float, now_ns: int) -> None:
        following = self.table.transitions[self._level][self.table.band(share)]
        deeper = following > self._level
        if deeper and self.table.levels[following].after_landing and not self._caps_settled(now_ns):
            return
        self._level = following

    def _command(self, now_ns: int, actions: list[Action]) -> None:
        level = self.table.levels[self._level]
        self._caps_wanted = False
        for priority, replicas in self._replicas.items():
            cap_mhz = level.cap_mhz(priority)
            if cap_mhz == self._commanded[priority]:
                continue
            if now_ns < self._lands_ns[priority]:
                self._caps_wanted = True  # one command in flight: asked again at the next sample
                continue
            self._commanded[priority] = cap_mhz
            self._lands_ns[priority] = now_ns + self._delays.cap_ns
            actions += [SetCap(replica, cap_mhz, self._delays.cap_ns) for replica in replicas]

    def _settled(self, lands_ns: int, now_ns: int) -> bool:
        """Whether a command has landed before the period that this sample covers began."""
        return now_ns - self._delays.telemetry_ns >= lands_ns

    def _caps_settled(self, now_ns: int) -> bool:
        level = self.table.levels[self._level]
        return all(
            self._commanded[priority] == level.cap_mhz(priority)
            and self._settled(self._lands_ns[priority], now_ns)
            for priority in Priority
        )

    def _quiet(self) -> tuple[float, float]:
        """The shares, from and up to, at which a sample surely changes nothing: most samples end there."""
        if self._braked:
            return (self.table.release_below, float("inf"))
        row = self.table.transitions[self._level]
        bands = [band for band, level in enumerate(row) if level == self._level]
        if not bands:
            return (0.0, 0.0)
        firsts = [edge.first for edge in self.table.edges]
        low = firsts[bands[0] - 1] if bands[0] else float("-inf")
        high = firsts[bands[-1]] if bands[-1] < len(firsts) else float("inf")
        return (low, min(high, self.table.brake_above))
