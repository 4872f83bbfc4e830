"""An alarm for cores that are wanted by more than one: the kernel's pressure stall information.

Documentation/accounting/psi.rst: a program writes a threshold and polls for POLLPRI; nothing runs until it is crossed.
"""

import contextlib
import os
import select
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")
TRIGGER = b"some 200000 2000000"
"""200 ms within two seconds in which some thread waited for a core. Without CAP_SYS_RESOURCE (a root in a container) no
window but a multiple of two seconds is allowed."""


class PressureAlarm:
    """Readable (for an event loop) when threads wait for cores; `fd` is None where the kernel has no such alarm.

    Looking resets it (psi_trigger_poll), so an event loop reports each alarm once and nothing is to be read.
    """

    def __init__(self, path: Path = PRESSURE) -> None:
        self._poll: select.epoll | None = None
        self._file = -1
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            os.write(self._file, TRIGGER + b"\0")
            # An event loop watches for reading only; an epoll instance is readable when anything happened in it.
            self._poll = select.epoll(flags=select.EPOLL_CLOEXEC)
            self._poll.register(self._file, select.EPOLLPRI)
        except OSError:  # no PSI in this kernel, or not for this user namespace
            self.close()

    @property
    def fd(self) -> int | None:
        """What to watch for reading."""
        return self._poll.fileno() if self._poll is not None else None

    def close(self) -> None:
        """Lets go of the trigger."""
        if self._poll is not None:
            self._poll.close()
            self._poll = None
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1
