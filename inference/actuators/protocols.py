"""What a knob is, what may be asked of it, and what came of asking."""

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from inference.errors import HardwareRefused


class Unit(StrEnum):
    """Of a knob's integers."""

    MHZ = "MHz"
    W = "W"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a knob takes.

    Attributes:
        minimum, maximum: both included.
        default: what the hardware has where nobody asks.
        unit: of all of these.
        steps: the values that there are, rising; empty where every integer between the ends is one.
    """

    minimum: int
    maximum: int
    default: int
    unit: Unit
    steps: tuple[int, ...] = ()

    def fitting(self, device: str, value: int) -> int:
        """The highest value that there is at or below the asked one, so that a cap is never exceeded.

        Raises:
            HardwareRefused: it lies outside the range, which the message names.
        """
        if not self.minimum <= value <= self.maximum:
            raise HardwareRefused(
                device,
                f"{value} {self.unit} lies outside {self.minimum} to {self.maximum} {self.unit}",
                "ask for a value in that range",
            )
        return self.steps[bisect_right(self.steps, value) - 1] if self.steps else value


class Knob(Protocol):
    """One setting of this host, and how to write it. What to write and when is the `Actuator`'s matter."""

    @property
    def name(self) -> str:
        """Which setting of what ("gpu-0/sm-clock")."""
        ...

    @property
    def covers(self) -> str:
        """On what it acts, in a few words."""
        ...

    @property
    def limits(self) -> Limits:
        """What it takes."""
        ...

    @property
    def exact(self) -> bool:
        """Whether `read` is the setting itself; else it is what the hardware does at this moment."""
        ...

    def read(self) -> int:
        """What is in force.

        Raises:
            HardwareError: it cannot be read.
        """
        ...

    def remark(self) -> str:
        """Who or what else bounds it now; empty for nobody."""
        ...

    def write(self, value: int) -> None:
        """Set it to a value that fits its limits. Where it fails, it leaves things as they were as far as it can.

        Raises:
            HardwareDenied: this process may not.
            HardwareError: it did not work.
        """
        ...

    def restore(self) -> None:
        """Bring back what was there when the knob was found.

        Raises:
            HardwareError: it did not work.
        """
        ...

    def release(self) -> None:
        """Give back what it holds (a session of NVML); afterwards it is of no use. Twice is no mistake."""
        ...


class Outcome(StrEnum):
    """What came of asking.

    CHANGED: it was set. UNCHANGED: it was so already, and no call was made. DEFERRED: too soon after the last change;
    ask again. DRY_RUN: it would have been set.
    """

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DEFERRED = "deferred"
    DRY_RUN = "dry run"


@dataclass(frozen=True, slots=True)
class Change:
    """What came of asking for a value.

    Attributes:
        outcome: see there.
        asked: the value.
        sent: the value that there is at or below it.
        in_force: what was read back right after setting; None where nothing was set. A GPU takes 50 to 80 ms to change
            its clock (DynamoLLM), so for its clock `Actuator.observe` tells more a moment later.
        retry_at_ns: for DEFERRED, when it may be asked again; else 0.
        remark: what else bounds it, or how what is in force differs from what was sent.
    """

    outcome: Outcome
    asked: int
    sent: int
    in_force: int | None = None
    retry_at_ns: int = 0
    remark: str = ""
