"""Turns one knob: checks the range, keeps the pace, reads back, and gives the original back at the end."""

import atexit
import contextlib
from types import TracebackType

from inference.actuators.pacing import INTERVAL_NS, Pacing, Verdict
from inference.actuators.protocols import Change, Knob, Limits, Outcome
from inference.domain.action import Precedence
from inference.errors import HardwareError


class Actuator:
    """A knob in use. A context manager; whoever forgets to close it has the original back when Python exits.

    Nothing brings it back after a signal that ends Python at once (SIGKILL; SIGTERM where nobody handles it): a clock
    lock then lasts until `nvidia-smi -rgc`, a quota until its control group goes, all of them until the next boot. One
    thread at a time.

    Attributes:
        dry_run: whether it only says what it would do.
    """

    def __init__(self, knob: Knob, interval_ns: int = INTERVAL_NS, dry_run: bool = False) -> None:
        """Take over a knob, without touching it yet.

        Args:
            knob: not used by anybody else.
            interval_ns: between two changes by a policy.
            dry_run: change nothing, for trying a policy on a host that serves.
        """
        self._knob = knob
        self._pacing = Pacing(interval_ns)
        self._read_back: int | None = None
        self._written = False
        self._closed = False
        self.dry_run = dry_run

    @property
    def name(self) -> str:
        """Of the knob."""
        return self._knob.name

    @property
    def covers(self) -> str:
        """On what it acts."""
        return self._knob.covers

    @property
    def limits(self) -> Limits:
        """What may be asked."""
        return self._knob.limits

    def set(self, value: int, now_ns: int, by: Precedence = Precedence.POLICY) -> Change:
        """Ask for a value.

        A policy is held to the pace; a cap and the brake are not. A brake below the knob's range takes its lowest value,
        for in an emergency the least is right and a refusal is not.

        Args:
            value: in the knob's unit.
            now_ns: of the monotonic clock, never going back.
            by: who asks, as `ClockArbiter` rules.

        Raises:
            HardwareRefused: the value lies outside the range.
            HardwareDenied: this process may not set it.
            HardwareError: setting failed.
            ValueError: it is closed.
        """
        if self._closed:
            raise ValueError(f"{self.name} was given back and cannot be set")
        within = max(value, self.limits.minimum) if by is Precedence.BRAKE else value
        sent = self.limits.fitting(self.name, within)
        verdict = self._pacing.verdict(sent, by, now_ns)
        if verdict is Verdict.SAME:
            return Change(Outcome.UNCHANGED, value, sent)
        if verdict is Verdict.WAIT:
            return Change(Outcome.DEFERRED, value, sent, retry_at_ns=self._pacing.retry_at_ns)
        if self.dry_run:
            self._pacing.sent(sent, now_ns)
            return Change(Outcome.DRY_RUN, value, sent, remark=self._knob.remark())
        self._write(sent, now_ns)
        self._read_back = self._knob.read()
        return Change(Outcome.CHANGED, value, sent, self._read_back, remark=self._difference(sent))

    def observe(self) -> int:
        """What is in force now. Where somebody else moved the knob, the next `set` sends again.

        Raises:
            HardwareError: it cannot be read.
        """
        in_force = self._knob.read()
        if self._knob.exact and self._read_back is not None and in_force != self._read_back:
            self._pacing.forget()
        return in_force

    def close(self) -> None:
        """Bring the original back where it was changed; closing twice does nothing.

        Raises:
            HardwareError: the original could not be brought back.
        """
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._close_at_exit)
        try:
            if self._written:
                self._knob.restore()
        finally:
            self._knob.release()

    def __enter__(self) -> "Actuator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, value: int, now_ns: int) -> None:
        if not self._written:
            # Before the write, which may change something even where it fails.
            self._written = True
            atexit.register(self._close_at_exit)
        try:
            self._knob.write(value)
        except HardwareError:
            self._pacing.failed(now_ns)
            raise
        self._pacing.sent(value, now_ns)

    def _difference(self, sent: int) -> str:
        remark = self._knob.remark()
        if self._knob.exact and self._read_back != sent:
            taken = f"{self._read_back} {self.limits.unit} in force, not {sent}"
            return f"{taken}; {remark}" if remark else taken
        return remark

    def _close_at_exit(self) -> None:
        # At exit nobody is left to tell; the others are still to be brought back.
        with contextlib.suppress(HardwareError):
            self.close()
