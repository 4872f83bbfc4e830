"""Ends that clean up: SIGTERM unwinds the stack as Ctrl-C does."""

import signal
from types import FrameType
from typing import NoReturn


def unwind_on_sigterm() -> None:
    """Turns SIGTERM into KeyboardInterrupt, so that every `with` block of the program is left in order."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
