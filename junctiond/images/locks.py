"""One at a time: inside this process by asyncio's locks, between processes by `flock` (flock(2))."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class KeyedLocks:
    """One lock for each key; a key nobody holds or waits for costs nothing."""

    def __init__(self, folder: Path) -> None:
        """Lock files are kept in `folder`."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        """Holds the lock of `key`, which must do as a file name."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock, file_lock(self._folder / key, shared=False):
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)


@asynccontextmanager
async def file_lock(path: Path, *, shared: bool) -> AsyncIterator[None]:
    """Holds `flock` on the file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            await _wait(descriptor, mode)
        yield
    finally:
        os.close(descriptor)


async def _wait(descriptor: int, mode: int) -> None:
    """Polls: a thread blocked in `flock` could not be called back when the waiter is cancelled."""
    delay_s = 0.005
    while True:
        await asyncio.sleep(delay_s)
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            delay_s = min(delay_s * 2, 0.2)
        else:
            return
