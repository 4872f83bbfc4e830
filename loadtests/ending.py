"""Ending a process that was started for a measurement."""

import subprocess


def end(process: subprocess.Popen[bytes], wait_s: float) -> None:
    """SIGTERM, and SIGKILL after so many seconds; returns when it is gone."""
    process.terminate()
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
