import asyncio
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from junctiond.cores.pressure import PRESSURE, PressureAlarm


def has_alarm() -> bool:
    """Whether this kernel and user may set one: asked without the code under test."""
    try:
        handle = os.open(PRESSURE, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        os.write(handle, b"some 500000 2000000\0")
        select.epoll().register(handle, select.EPOLLPRI)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def test_without_the_kernels_alarm_there_is_none(tmp_path: Path) -> None:
    alarm = PressureAlarm(tmp_path / "cpu")
    assert alarm.fd is None
    alarm.close()


@pytest.mark.skipif(not has_alarm(), reason="no pressure stall information here")
async def test_threads_that_wait_for_a_core_set_it_off() -> None:
    alarm, rang = PressureAlarm(), asyncio.Event()
    assert alarm.fd is not None
    loop = asyncio.get_running_loop()
    loop.add_reader(alarm.fd, rang.set)
    core = min(os.sched_getaffinity(0))
    program = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    burners = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    try:
        async with asyncio.timeout(30):
            await rang.wait()
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
        loop.remove_reader(alarm.fd)
        alarm.close()
