"""Goal: jnetd and the provider come back when they die, and nothing is started twice. Method: real small processes."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from junctiond.cores import host as cores
from junctiond.cores.layout import show_cores
from junctiond.dataplane.process import DataplaneProcess
from junctiond.settings import Settings, SettingsError, load
from junctiond.supervisor import Supervisor, child_environment, provider_command
from junctiond.tether import PARENT_VARIABLE

JNETD = """#!{python} -I
import sys, time
open({starts!r}, "a").write("x")
time.sleep(60)
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def host(folder: Path) -> Settings:
    """Settings whose jnetd is a script that counts its starts."""
    binary = folder / "bin" / "jnetd"
    binary.parent.mkdir()
    binary.write_text(JNETD.format(python=sys.executable, starts=str(folder / "starts")))
    binary.chmod(0o755)
    (folder / "run").mkdir()
    return load(
        state_dir=folder / "state", run_dir=folder / "run", bin_dir=folder / "bin", workers=2
    )


def starts(folder: Path) -> int:
    path = folder / "starts"
    return len(path.read_text()) if path.exists() else 0


async def test_jnetd_is_started_again_and_stopped(tmp_path: Path):
    host_settings = host(tmp_path)
    plane = DataplaneProcess(host_settings, random.Random(1))
    running = asyncio.ensure_future(plane.run())
    try:
        await until(lambda: starts(tmp_path) == 1)
        first = plane.pid
        assert first is not None
        command = psutil.Process(first).cmdline()
        usable = cores.usable_cores()
        doors = cores.layout_of(host_settings).doors
        assert command[command.index("--workers") + 1] == "2"
        assert set(doors) <= usable
        assert command[-2:] == ["--cores", show_cores(doors)]
        os.kill(first, signal.SIGKILL)
        await until(lambda: starts(tmp_path) == 2 and plane.pid not in (None, first))
    finally:
        running.cancel()
        await asyncio.wait([running])
    second = plane.pid
    assert second is not None
    assert psutil.pid_exists(second), "the daemon's end must not end jnetd"
    await plane.stop()
    assert plane.pid is None
    assert not psutil.pid_exists(second)


async def test_a_dead_pid_file_is_not_believed(tmp_path: Path):
    settings = host(tmp_path)
    (settings.run_dir / "jnetd.pid").write_text(f"{os.getpid()}\n")
    plane = DataplaneProcess(settings, random.Random(1))
    running = asyncio.ensure_future(plane.run())
    try:
        await until(lambda: starts(tmp_path) == 1)
        assert psutil.pid_exists(os.getpid())
    finally:
        running.cancel()
        await asyncio.wait([running])
        await plane.stop()


def test_a_taken_address_is_told_before_anything_starts(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        plane = DataplaneProcess(replace(host(tmp_path), listen=address), random.Random(1))
        with pytest.raises(SettingsError, match=f"cannot listen on {address}.*in use"):
            plane.check()
    plane.check()


def _is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_child_comes_back_and_goes_with_its_supervisor(tmp_path: Path):
    marks = tmp_path / "marks"
    script = (
        f"import time, os; open({str(marks)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(60)"
    )
    command = [sys.executable, "-I", "-c", script]
    supervisor = Supervisor("child", command, {"PATH": os.defpath}, random.Random(1))
    running = asyncio.ensure_future(supervisor.run())

    def pids() -> list[int]:
        return [int(one) for one in marks.read_text().split()] if marks.exists() else []

    await until(lambda: len(pids()) == 1)
    os.kill(pids()[0], signal.SIGKILL)
    await until(lambda: len(pids()) == 2)
    running.cancel()
    await asyncio.wait([running])
    assert not psutil.pid_exists(pids()[1])


def test_a_tethered_module_ends_with_its_parent(tmp_path: Path):
    module = tmp_path / "tethered_sleeper.py"
    module.write_text(
        "import sys, time\nprint('arguments', sys.argv[1:], flush=True)\ntime.sleep(60)\n"
    )
    parent = (
        "import os, subprocess, sys, time\n"
        f"env = os.environ | {{{PARENT_VARIABLE!r}: str(os.getpid())}}\n"
        "child = subprocess.Popen([sys.executable, '-m', 'junctiond.tether', 'tethered_sleeper', 'x'],"
        " env=env)\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    env = os.environ | {"PYTHONPATH": f"{Path.cwd()}:{tmp_path}"}
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        child = next(int(line.split()[1]) for line in lines if line.startswith("child"))
        assert "arguments ['x']\n" in lines
        process.kill()
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=10)
    assert not psutil.pid_exists(child) or _is_zombie(child)


def test_the_provider_gets_arguments_and_no_settings_of_ours(tmp_path: Path):
    settings = load(state_dir=tmp_path, run_dir=tmp_path, metrics_listen="127.0.0.1:8081")
    command = provider_command(settings)
    assert command[command.index("--listen") + 1] == f"unix:{tmp_path}/provider.sock"
    assert command[-2:] == ["--metrics", "127.0.0.1:8081"]
    environment = child_environment({"JUNCTIOND_LISTEN": "x", "HOME": "/root"})
    assert environment["HOME"] == "/root"
    assert set(environment) == {"HOME", "PATH", PARENT_VARIABLE}
