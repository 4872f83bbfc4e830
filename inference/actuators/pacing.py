"""How often a knob may be turned: at most once in an interval, and never to where it stands.

Setting a clock stops the GPU for 50 to 80 ms, even to the clock that it has; set at each iteration that costs real
throughput, so DynamoLLM changes it each 5 s at most. Caps and the brake guard the power supply and do not wait.
"""

from enum import Enum

from inference.domain.action import Precedence

INTERVAL_NS = 5_000_000_000
"""Between two changes by a policy (DynamoLLM, section on overheads)."""


class Verdict(Enum):
    """What to do about a wish."""

    SEND = "send"
    SAME = "same"
    WAIT = "wait"


class Pacing:
    """Decides for one knob. Time is an argument.

    Attributes:
        retry_at_ns: from when on a policy may change it again.
    """

    __slots__ = ("_interval_ns", "_value", "retry_at_ns")

    def __init__(self, interval_ns: int = INTERVAL_NS) -> None:
        """Begin with an unknown setting.

        Raises:
            ValueError: the interval is negative.
        """
        if interval_ns < 0:
            raise ValueError(f"an interval of {interval_ns} ns is negative")
        self._interval_ns = interval_ns
        self._value: int | None = None
        self.retry_at_ns = 0

    def verdict(self, value: int, by: Precedence, now_ns: int) -> Verdict:
        """Whether to send a value now."""
        if value == self._value:
            return Verdict.SAME
        if by is Precedence.POLICY and now_ns < self.retry_at_ns:
            return Verdict.WAIT
        return Verdict.SEND

    def sent(self, value: int, now_ns: int) -> None:
        """A value was set; from now the interval counts."""
        self._value = value
        self.retry_at_ns = now_ns + self._interval_ns

    def failed(self, now_ns: int) -> None:
        """Setting failed: nobody knows where the knob stands, and trying again waits too."""
        self._value = None
        self.retry_at_ns = now_ns + self._interval_ns

    def forget(self) -> None:
        """Somebody else moved the knob: the same value is to be sent again."""
        self._value = None
